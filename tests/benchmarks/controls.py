"""What each part of the chain adds: TIGER on one kind of semantic IDs after the other.

    python tests/benchmarks/controls.py --out nbs/results/controls.json
    python tests/benchmarks/controls.py --params beauty_cpu --data data/Beauty --seeds 1 \\
        --set sasrec.training.steps=3480 tiger.training.steps=1500 tiger.training.every=750 \\
              tiger.training.valid_users=2000 \\
        --only whole shuffled kmeans alpha raw reassign --out nbs/results/controls_beauty.json

Every kind of IDs is read by a TIGER that is trained in the same way; only the IDs, or what the row
says, differ. Differences are to the IDs of the whole chain, users resampled in pairs.
"""
import argparse, json, time
from pathlib import Path

import torch
from torch.nn.functional import normalize
from sidebyside import machine
from semids.conversion import make_sequences
from semids.evaluation import Markov, compare
from semids.pipeline import Run, read_settings
from semids.rqvae import quantize, rq_kmeans, train_rqvae
from semids.sasrec import item_embeddings, train_sasrec
from semids.semantic_ids import SemanticIDs, add_collision_code, make_ids
from semids.tiger import TIGERRecommender, train_tiger

NAMES = dict(
    whole='the whole chain', shuffled='the same IDs, shuffled among the items',
    kmeans='residual k-means, nothing learnt', both='k-means of content beside SASRec vectors',
    alpha='no collaborative loss (alpha 0)', raw='raw form, C={D}',
    wide='no collaborative loss, C={D}', reassign='other last codes, no collision code',
    all_codes='the whole chain, softmax over all codes of a level')

def trained_rqvae(data, settings, h_ND, seed, **changes):
    "Step 2"
    model = settings.rqvae.model.update(changes)
    x_NE = torch.from_numpy(data.vectors.vectors_NE)
    rqvae,_ = train_rqvae(x_NE, h_ND if model.alpha else None, model, settings.rqvae.training,
                          cpu=True, seed=seed)
    return rqvae

def of_rqvae(data, settings, rqvae, collisions='code'):
    "Codes of step 3"
    how = settings.semantic_ids.update(dict(collisions=collisions))
    return make_ids(rqvae, data.vectors, how)[0].rows_for(data.ixs.item_ids)

def of_kmeans(x_NE, settings, seed):
    "Codes of residual k-means, nothing learnt"
    model = settings.rqvae.model
    codes_NM,_ = quantize(x_NE, rq_kmeans(x_NE, model.M, model.K, seed))
    return add_collision_code(codes_NM, model.K)

def shuffled(codes_NM, seed):
    "The same codes for other items"
    generator = torch.Generator().manual_seed(seed)
    return codes_NM[torch.randperm(len(codes_NM), generator=generator)]

def codes_of(kind, data, settings, h_ND, seed, whole):
    "The codes of one kind of semantic IDs; `whole` is the RQ-VAE of the whole chain"
    x_NE = torch.from_numpy(data.vectors.vectors_NE)
    if kind in ('whole','all_codes'): return of_rqvae(data, settings, whole)
    if kind=='shuffled': return shuffled(of_rqvae(data, settings, whole), seed)
    if kind=='reassign': return of_rqvae(data, settings, whole, 'reassign')
    if kind=='kmeans': return of_kmeans(x_NE, settings, seed)
    if kind=='both':
        both_NE = torch.cat([normalize(x_NE, dim=1), normalize(h_ND, dim=1)], 1)
        return of_kmeans(both_NE, settings, seed)
    D = h_ND.shape[1]
    changes = dict(alpha=dict(alpha=0), raw=dict(alignment='raw', C=D), wide=dict(alpha=0, C=D))
    rqvae = trained_rqvae(data, settings, h_ND, seed, **changes[kind])
    return of_rqvae(data, settings, rqvae)

def one_seed(data, settings, seed, kinds):
    "Recommenders by name, and what their trainings said"
    sasrec,_ = train_sasrec(data.split, settings.sasrec.model, settings.sasrec.training,
                            cpu=True, seed=seed)
    h_ND = item_embeddings(sasrec, data.split.count_N)
    whole = trained_rqvae(data, settings, h_ND, seed)
    found = {'Markov, backoff':Markov(data.split, backoff=True), 'SASRec':sasrec.recommend}
    trained = {}
    for kind in kinds:
        codes_NM = codes_of(kind, data, settings, h_ND, seed, whole)
        training = settings.tiger.training.update(dict(on_trie=kind!='all_codes'))
        ids = SemanticIDs(data.ixs.item_ids, codes_NM, settings.rqvae.model.K)
        tiger,about = train_tiger(make_sequences(data.ixs, ids), settings.tiger.model,
                                  training, cpu=True, seed=seed)
        name = NAMES[kind].format(D=h_ND.shape[1])
        found[name] = TIGERRecommender(tiger, codes_NM, settings.evaluation.beams)
        trained[name] = {what:about[what] for what in ('seconds','best_score','best_step')}
        print(seed, name, trained[name], flush=True)
    return found,trained

if __name__=='__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--params', default='toy')
    parser.add_argument('--data', default='data')
    parser.add_argument('--set', nargs='*', default=[], help='settings to change')
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--only', nargs='*', default=list(NAMES), choices=NAMES)
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    began = time.time()
    settings = read_settings(options.params, options.set)
    data = Run(settings, options.data).load()
    # all others are compared with it
    kinds = list(dict.fromkeys(['whole', *options.only]))
    runs = [one_seed(data, settings, seed, kinds) for seed in range(options.seeds)]
    found = compare([recommenders for recommenders,_ in runs], data.split,
                    baselines=[NAMES['whole']])
    print(found.table())
    trained = {name:[about[name] for _,about in runs] for name in runs[0][1]}
    result = dict(benchmark='controls', machine=machine(), threads=torch.get_num_threads(),
                  seeds=options.seeds, params=options.params, settings=options.set,
                  protocol=found.protocol(), metrics=found.metrics(), trained=trained,
                  minutes=(time.time()-began)/60)
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
