"""The whole test of Amazon Beauty, 22,363 users, 50 beams, items of the history left out: seconds of one evaluation. Weights are random.

    python tests/benchmarks/evaluation.py
"""
import argparse, json, time
from pathlib import Path

import torch
from beauty import DATA, SIZE, sequences
from sidebyside import machine
from semids.evaluation import evaluate
from semids.tiger import TIGER, TIGERRecommender

if __name__=='__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cpu', choices=['cpu','cuda'])
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    seqs = sequences()
    recommend = TIGERRecommender(TIGER(**SIZE).eval().to(options.device), seqs.tokens_NM, beams=50)
    start = time.perf_counter()
    evaluate(recommend, seqs.test, seqs.count_N)
    result = dict(benchmark='evaluation', data=DATA, device=options.device, threads=torch.get_num_threads(), machine=machine(), users=len(seqs.test), beams=50,
                  seconds=time.perf_counter()-start)
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
    print(f"{result['users']:,} users in {result['seconds']:.0f} s")
