"""The histories that the benchmarks train and decode on.

They are those of Amazon Beauty where it is at hand (see tests/test_beauty.py), else random ones of
the same size and lengths. Nothing here but `sequences` needs semids, so the peers' environment can
use it.
"""
import os
from pathlib import Path
import numpy as np

# TIGER of the paper's size
M,K = 4,256
SIZE = dict(d=128, heads=6, d_head=64, d_ff=1024, layers=4)

folder = Path(os.environ.get('SEMIDS_BEAUTY', Path(__file__).parents[2]/'data/Beauty'))
FILE = folder/'all_data.txt'
DATA = 'Amazon Beauty' if FILE.exists() else 'random histories of the size of Amazon Beauty'

def flat():
    "User and item of every action, oldest first within each user"
    if not FILE.exists(): return random_histories()
    lines = [line.split() for line in FILE.read_text().splitlines()]
    users = [user for user,*items in lines for _ in items]
    items = [i for _,*items in lines for i in items]
    return np.array(users),np.array(items)

def random_histories(U=22363, N=12101):
    rng = np.random.default_rng(0)
    length_U = np.minimum(4+rng.geometric(.2, U), 200)
    popular_N = rng.permutation(1/np.arange(1, N+1)**.6)
    # every item at least once
    more = rng.choice(N, length_U.sum()-N, p=popular_N/popular_N.sum())
    item_A = np.concatenate([np.arange(N), more])
    return np.repeat(np.arange(U), length_U),rng.permutation(item_A)

def sequences():
    "The histories with random unique semantic IDs"
    import torch
    from semids.conversion import make_sequences
    from semids.interactions import Interactions
    from semids.semantic_ids import SemanticIDs
    ixs = Interactions.from_flat(*flat(), source='benchmark')
    number_N = np.random.default_rng(0).choice(K**M, len(ixs.item_ids), replace=False)
    codes_NM = np.stack([number_N//K**m % K for m in range(M)][::-1], 1)
    return make_sequences(ixs, SemanticIDs(ixs.item_ids, torch.from_numpy(codes_NM), K))

def tiger(causal=False):
    "A fresh TIGER of the paper's size"
    from semids.tiger import TIGER, TIGERSettings
    return TIGER(M, K, TIGERSettings(**SIZE, causal=causal))
