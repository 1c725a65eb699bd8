"""The histories that the benchmarks train and decode on: Amazon Beauty where it is at hand (see tests/test_beauty.py), else random ones
of the same size and lengths. Nothing here but `sequences` needs semids, so the peers' environment can use it."""
import os
from pathlib import Path
import numpy as np

SIZE = dict(M=4, K=256, d=128, heads=6, d_head=64, d_ff=1024, layers=4)                      # of TIGER, as in the paper
FILE = Path(os.environ.get('SEMIDS_BEAUTY', Path(__file__).parents[2]/'data/Beauty'))/'all_data.txt'

DATA = 'Amazon Beauty' if FILE.exists() else 'random histories of the size of Amazon Beauty'

def flat():
    "User and item of every action, oldest first within each user"
    if FILE.exists():
        lines = [line.split() for line in FILE.read_text().splitlines()]
        return np.array([user for user,*items in lines for _ in items]),np.array([i for _,*items in lines for i in items])
    rng = np.random.default_rng(0)
    length_U = np.minimum(4+rng.geometric(.2, 22363), 200)
    popular_N = rng.permutation(1/np.arange(1, 12102)**.6)
    item_A = np.concatenate([np.arange(12101), rng.choice(12101, length_U.sum()-12101, p=popular_N/popular_N.sum())])
    return np.repeat(np.arange(22363), length_U),rng.permutation(item_A)

def sequences(M=4, K=256):
    "The histories with random unique semantic IDs"
    import torch
    from semids.conversion import make_sequences
    from semids.data import Interactions
    from semids.semantic_ids import SemanticIDs
    ixs = Interactions.from_flat(*flat(), source='benchmark')
    number_N = np.random.default_rng(0).choice(K**M, len(ixs.item_ids), replace=False)
    codes_NM = np.stack([number_N//K**m % K for m in range(M)][::-1], 1)
    return make_sequences(ixs, SemanticIDs(ixs.item_ids, torch.from_numpy(codes_NM), K))
