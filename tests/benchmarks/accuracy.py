"""What the fast ways of training TIGER cost in accuracy: the toy shop, three seeds.

    python tests/benchmarks/accuracy.py

bf16 against fp32, and one pass over a history (causal encoder) against one history per target, for the same number of targets and for
the same time. Reported are the loss on the validation targets (mean cross-entropy of a code, without label smoothing) and Recall@10 on
the test.
"""
import argparse, json
from pathlib import Path

import torch
from sidebyside import machine
from semids.conversion import make_sequences
from semids.data import toy_shop
from semids.evaluation import evaluate
from semids.rqvae import quantize, rq_kmeans
from semids.semantic_ids import SemanticIDs, add_collision_code
from semids.tiger import TIGERRecommender, train_tiger

SETTINGS = dict(d=64, heads=4, d_head=16, d_ff=128, layers=2, max_len=4, label_smoothing=.3, lr=6e-3, warmup=50, every=500, valid_users=400)
WAYS = {'one history per target, fp32':dict(steps=500, batch_size=256), 'one history per target, bf16':dict(steps=500, batch_size=256, precision='bf16'),
        'one pass, as many targets':dict(causal=True, steps=450, batch_size=96), 'one pass, the same time':dict(causal=True, steps=850, batch_size=96)}

if __name__=='__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    shop = toy_shop()
    x_NE = torch.from_numpy(shop.vectors().vectors_NE)
    codes_NM = add_collision_code(quantize(x_NE, rq_kmeans(x_NE, M=3, K=16))[0], 16)
    seqs = make_sequences(shop.interactions, SemanticIDs(shop.interactions.item_ids, codes_NM, 16))
    tokens_BS,target_BTM = seqs.tokens(seqs.valid.histories(torch.arange(len(seqs.valid)), 4)),seqs.tokens_NM[seqs.valid.target_X][:,None]
    rows = []
    for way,settings in WAYS.items():
        for seed in range(options.seeds):
            model,found = train_tiger(seqs, **(SETTINGS | settings), seed=seed, cpu=True)
            model.label_smoothing = 0.
            with torch.inference_mode(): loss = model(tokens_BS, target_BTM)[0].item()
            metrics = evaluate(TIGERRecommender(model, seqs.tokens_NM), seqs.test, seqs.count_N).metrics((10,))
            rows.append(dict(way=way, seed=seed, valid_loss=loss, recall=metrics['recall@10'], seconds=found['seconds']))
            print(rows[-1], flush=True)
    result = dict(benchmark='accuracy', machine=machine(), threads=torch.get_num_threads(), rows=rows)
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
