"""What the fast ways of training TIGER cost in accuracy: the toy shop, three seeds.

    python tests/benchmarks/accuracy.py

bf16 against fp32, and one pass over a history (causal encoder) against one history per target, for
the same number of targets and for the same time. Reported are the loss on the validation targets
(mean cross-entropy of a code, without label smoothing) and Recall@10 on the test.
"""
import argparse, json
from dataclasses import replace
from pathlib import Path

import torch
from sidebyside import machine
from semids.conversion import make_sequences
from semids.evaluation import evaluate
from semids.rqvae import quantize, rq_kmeans
from semids.semantic_ids import SemanticIDs, add_collision_code
from semids.tiger import TIGER, TIGER_TRAINING, TIGERRecommender, TIGERSettings, train_tiger
from semids.toy_shop import toy_shop

SIZE = TIGERSettings(d=64, heads=4, d_head=16, d_ff=128, layers=2, max_len=4, label_smoothing=.3)
TRAINING = replace(
    TIGER_TRAINING, steps=500, batch_size=256, lr=6e-3, warmup=50, every=500, valid_users=400)
ONE_PASS = replace(SIZE, causal=True)
WAYS = {
    'one history per target, fp32':(SIZE, TRAINING, 'no'),
    'one history per target, bf16':(SIZE, TRAINING, 'bf16'),
    'one pass, as many targets':(ONE_PASS, replace(TRAINING, steps=450, batch_size=96), 'no'),
    'one pass, the same time':(ONE_PASS, replace(TRAINING, steps=850, batch_size=96), 'no')}

def without_smoothing(model):
    "The same model, whose loss is the plain cross-entropy"
    plain = TIGER(**model.sizes, settings=replace(model.settings, label_smoothing=0.))
    plain.load_state_dict(model.state_dict())
    return plain.eval()

def toy_sequences():
    shop = toy_shop()
    x_NE = torch.from_numpy(shop.vectors().vectors_NE)
    codes_NM, _ = quantize(x_NE, rq_kmeans(x_NE, M=3, K=16))
    ids = SemanticIDs(shop.interactions.item_ids, add_collision_code(codes_NM, 16), 16)
    return make_sequences(shop.interactions, ids)

if __name__=='__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    seqs = toy_sequences()
    split = seqs.split
    history_BTM = seqs.codes(split.valid.histories(torch.arange(len(split.valid)), 4))
    target_BTM = seqs.codes(split.valid.target_X[:,None])
    rows = []
    for way,(settings,training,precision) in WAYS.items():
        for seed in range(options.seeds):
            model,found = train_tiger(
                seqs, settings, training, precision=precision, seed=seed, cpu=True)
            with torch.inference_mode(): loss,*_ = without_smoothing(model)(history_BTM, target_BTM)
            recommend = TIGERRecommender(model, seqs.ids.codes_NM)
            metrics = evaluate(recommend, split.test, split.count_N).metrics((10,))
            rows.append(dict(way=way, seed=seed, valid_loss=loss.item(),
                             recall=metrics['recall@10'], seconds=found['seconds']))
            print(rows[-1], flush=True)
    threads = torch.get_num_threads()
    result = dict(benchmark='accuracy', machine=machine(), threads=threads, rows=rows)
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
