"The histories that the benchmarks train and decode on: Amazon Beauty where it is at hand, else random ones of the same size and lengths."
import os
from pathlib import Path
import numpy as np
import torch
from semids.conversion import make_sequences
from semids.data import Interactions, read_interactions
from semids.semantic_ids import SemanticIDs

FILE = Path(os.environ.get('SEMIDS_BEAUTY', Path(__file__).parents[2]/'data/Beauty'))/'all_data.txt'

def interactions():
    if FILE.exists(): return read_interactions(FILE)
    rng = np.random.default_rng(0)
    length_U = np.minimum(4+rng.geometric(.2, 22363), 200)
    popular_N = rng.permutation(1/np.arange(1, 12102)**.6)
    item_A = np.concatenate([np.arange(12101), rng.choice(12101, length_U.sum()-12101, p=popular_N/popular_N.sum())])
    return Interactions.from_flat(np.repeat(np.arange(22363), length_U), rng.permutation(item_A), source='random histories as long as those of Amazon Beauty')

def sequences(M=4, K=256):
    "Histories with random unique semantic IDs"
    ixs = interactions()
    number_N = np.random.default_rng(0).choice(K**M, len(ixs.item_ids), replace=False)
    codes_NM = np.stack([number_N//K**m % K for m in range(M)][::-1], 1)
    return make_sequences(ixs, SemanticIDs(ixs.item_ids, torch.from_numpy(codes_NM), K))
