"""The whole test of Amazon Beauty, 22,363 users, 50 beams, seen items masked: seconds.

    python tests/benchmarks/evaluation.py

Weights are random.
"""
import argparse, json, time
from pathlib import Path

import torch
from beauty import DATA, sequences, tiger
from sidebyside import machine
from semids.evaluation import evaluate
from semids.tiger import TIGERRecommender

if __name__=='__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cpu', choices=['cpu','cuda'])
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    seqs = sequences()
    model = tiger().eval().to(options.device)
    recommend = TIGERRecommender(model, seqs.ids.codes_NM, beams=50)
    start = time.perf_counter()
    evaluate(recommend, seqs.split.test, seqs.split.count_N)
    seconds = time.perf_counter()-start
    result = dict(benchmark='evaluation', data=DATA, device=options.device,
                  threads=torch.get_num_threads(), machine=machine(),
                  users=len(seqs.split.test), beams=50, seconds=seconds)
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
    print(f"{result['users']:,} users in {seconds:.0f} s")
