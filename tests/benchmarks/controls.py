"""What each part of the chain adds: TIGER on one kind of semantic IDs after the other.

    python tests/benchmarks/controls.py --out nbs/results/controls.json

The toy shop with the settings of the preset `toy`, three seeds. Every kind of IDs is read by a
TIGER that is trained in the same way; only the IDs, or what the row says, differ. Differences are
to the IDs of the whole chain, users resampled in pairs.
"""
import argparse, json, time
from pathlib import Path

import torch
from torch.nn.functional import normalize
from sidebyside import machine
from semids.conversion import make_sequences
from semids.evaluation import Markov, compare
from semids.pipeline import read_settings
from semids.rqvae import quantize, rq_kmeans, train_rqvae
from semids.sasrec import item_embeddings, train_sasrec
from semids.semantic_ids import SemanticIDs, add_collision_code, make_ids
from semids.splits import leave_one_out
from semids.tiger import TIGERRecommender, train_tiger
from semids.toy_shop import toy_shop

WHOLE = 'the whole chain'

def of_rqvae(shop, settings, h_ND, seed, collisions='code', **changes):
    "Steps 2 and 3"
    model = settings.rqvae.model.update(changes)
    vectors = shop.vectors()
    x_NE = torch.from_numpy(vectors.vectors_NE)
    rqvae,_ = train_rqvae(x_NE, h_ND if model.alpha else None, model, settings.rqvae.training,
                          cpu=True, seed=seed)
    ids,_ = make_ids(rqvae, vectors, settings.semantic_ids.update(dict(collisions=collisions)))
    return ids.rows_for(shop.interactions.item_ids)

def of_kmeans(x_NE, settings, seed):
    "Codes of residual k-means, nothing learnt"
    model = settings.rqvae.model
    codes_NM,_ = quantize(x_NE, rq_kmeans(x_NE, model.M, model.K, seed))
    return add_collision_code(codes_NM, model.K)

def kinds(shop, settings, h_ND, seed):
    "Name and codes of every kind of semantic IDs"
    x_NE = torch.from_numpy(shop.vectors().vectors_NE)
    both_NE = torch.cat([normalize(x_NE, dim=1), normalize(h_ND, dim=1)], 1)
    codes_NM = of_rqvae(shop, settings, h_ND, seed)
    mixed_N = torch.randperm(len(codes_NM), generator=torch.Generator().manual_seed(seed))
    D = h_ND.shape[1]
    return {
        WHOLE:codes_NM,
        'the same IDs, shuffled among the items':codes_NM[mixed_N],
        'residual k-means, nothing learnt':of_kmeans(x_NE, settings, seed),
        'k-means of content beside SASRec vectors':of_kmeans(both_NE, settings, seed),
        'no collaborative loss (alpha 0)':of_rqvae(shop, settings, h_ND, seed, alpha=0),
        f'raw form, C={D}':of_rqvae(shop, settings, h_ND, seed, alignment='raw', C=D),
        f'no collaborative loss, C={D}':of_rqvae(shop, settings, h_ND, seed, alpha=0, C=D),
        'other last codes, no collision code':of_rqvae(shop, settings, h_ND, seed, 'reassign')}

def one_seed(shop, settings, split, seed):
    "Recommenders by name, and how long each training took"
    sasrec,_ = train_sasrec(split, settings.sasrec.model, settings.sasrec.training,
                            cpu=True, seed=seed)
    h_ND = item_embeddings(sasrec, split.count_N)
    codes = kinds(shop, settings, h_ND, seed)
    tasks = {name:(codes_NM, settings.tiger.training) for name,codes_NM in codes.items()}
    all_codes = settings.tiger.training.update(dict(on_trie=False))
    tasks['the whole chain, softmax over all codes of a level'] = codes[WHOLE],all_codes
    found = {'Markov, backoff':Markov(split, backoff=True), 'SASRec':sasrec.recommend}
    seconds = {}
    for name,(codes_NM,training) in tasks.items():
        ids = SemanticIDs(shop.interactions.item_ids, codes_NM, settings.rqvae.model.K)
        tiger,about = train_tiger(make_sequences(shop.interactions, ids), settings.tiger.model,
                                  training, cpu=True, seed=seed)
        found[name] = TIGERRecommender(tiger, codes_NM, settings.evaluation.beams)
        seconds[name] = about['seconds']
        print(seed, name, round(about['seconds']), about['best_score'], flush=True)
    return found,seconds

if __name__=='__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    began = time.time()
    settings = read_settings('toy')
    shop = toy_shop()
    split = leave_one_out(shop.interactions)
    runs = [one_seed(shop, settings, split, seed) for seed in range(options.seeds)]
    found = compare([recommenders for recommenders,_ in runs], split, baselines=[WHOLE])
    print(found.table())
    seconds = {name:[times[name] for _,times in runs] for name in runs[0][1]}
    result = dict(benchmark='controls', machine=machine(), threads=torch.get_num_threads(),
                  seeds=options.seeds, protocol=found.protocol(), metrics=found.metrics(),
                  seconds=seconds, minutes=(time.time()-began)/60)
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
