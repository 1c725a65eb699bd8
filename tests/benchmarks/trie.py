"""The trie at scale: random semantic IDs of 4 codes of 256 and of 3 codes of 2048.

    python tests/benchmarks/trie.py

Ten thousand, a million and ten million of them. A round decodes 64 users with 50 beams, seen items
masked. Told beside it: seconds of the build, the size of the trie, the most memory of the build
beyond the codes, and the milliseconds of the search without the model (everything but the next-code
scores: children, rules, the choice of the beams).
"""
import statistics, time
from sidebyside import forget_peak, main, mib

def random_codes(M, K, N):
    "Unique codes of `N` items, in random order"
    import numpy as np, torch
    rng = np.random.default_rng(0)
    number_N = np.unique(rng.integers(0, K**M, int(1.1*N)))
    number_N = number_N[rng.permutation(len(number_N))[:N]]
    return torch.from_numpy(np.stack([number_N//K**(M-1-m) % K for m in range(M)], 1))

def size_mib(torch, trie):
    "What the tensors of a trie take"
    values = []
    for value in vars(trie).values(): values += value if isinstance(value, list) else [value]
    return sum(t.numel()*t.element_size() for t in values if torch.is_tensor(t))/2**20

def program(M, K, N):
    def make(device):
        import torch
        from semids.beam_search import Constraints, DenseTrie, beam_search
        from semids.tiger import TIGER, TIGERRecommender, TIGERSettings
        codes_NM = random_codes(M, K, N)
        forget_peak(torch, device)
        before = mib('VmRSS')
        start = time.perf_counter()
        trie = DenseTrie(codes_NM)
        seconds = time.perf_counter()-start
        peak = mib('VmHWM')-before
        torch.manual_seed(0)
        model = TIGER(M, K, TIGERSettings()).eval().to(device)
        recommend = TIGERRecommender(model, codes_NM, beams=50)
        history_BT = torch.randint(N, (64, 20))
        logp_BWK = torch.randn(64, 50, K).log_softmax(-1)
        def next_logp(prefix_BWm, parent_BW): return logp_BWK[:,:prefix_BWm.shape[1]]
        def milliseconds():
            start = time.perf_counter()
            beam_search(next_logp, trie, 64, 50, 10, Constraints(trie, history_BT))
            return 1000*(time.perf_counter()-start)
        # the first one warms up
        milliseconds()
        search_ms = statistics.median(milliseconds() for _ in range(7))
        about = dict(codes=f'{M} x {K}', items=N, build_seconds=seconds,
                     trie_mib=size_mib(torch, trie), build_mib=peak, search_ms=search_ms)
        def work():
            recommend(history_BT, 10)
            return 64
        return work,about
    return make

PROGRAMS = {}
for M,K in ((4,256),(3,2048)):
    for N in (10_000,1_000_000,10_000_000): PROGRAMS[f'{M} x {K}, {N:,}'] = program(M, K, N)

if __name__=='__main__': main(PROGRAMS, 'users')
