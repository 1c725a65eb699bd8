"""The trie at scale: random semantic IDs of 4 codes of 256 and of 3 codes of 2048, ten thousand, a million and ten million of them.

    python tests/benchmarks/trie.py

A round decodes 64 users with 50 beams, items of their histories left out. Told beside it: seconds of the build, the size of the trie,
the most memory of the build beyond the codes, and the milliseconds of the search without the model (everything but the next-code
scores: children, rules, the choice of the beams).
"""
import statistics, time
from sidebyside import forget_peak, main, mib

def program(M, K, N):
    def make(device):
        import numpy as np, torch
        from semids.beam_search import Constraints, Trie, beam_search
        from semids.tiger import TIGER, TIGERRecommender
        rng = np.random.default_rng(0)
        number_N = np.unique(rng.integers(0, K**M, int(1.1*N)))
        number_N = number_N[rng.permutation(len(number_N))[:N]]
        tokens_NM = torch.from_numpy(np.stack([number_N//K**(M-1-m) % K + 1+m*K for m in range(M)], 1))
        codes_NM = tokens_NM-1-torch.arange(M)*K
        forget_peak(torch, device)
        before,start = mib('VmRSS'),time.perf_counter()
        trie = Trie(codes_NM)
        seconds,peak = time.perf_counter()-start,mib('VmHWM')-before
        tensors = [t for v in vars(trie).values() for t in (v if isinstance(v, list) else [v]) if torch.is_tensor(t)]
        torch.manual_seed(0)
        recommend = TIGERRecommender(TIGER(M, K).eval().to(device), tokens_NM, beams=50)
        history_BT = torch.randint(N, (64, 20))
        logp_BWK = torch.randn(64, 50, K).log_softmax(-1)
        def search(): beam_search(lambda prefix_BWm, parent_BW: logp_BWK[:,:prefix_BWm.shape[1]], trie, 64, 50, 10, Constraints(trie, history_BT))
        def milliseconds():
            start = time.perf_counter()
            search()
            return 1000*(time.perf_counter()-start)
        search()
        about = dict(codes=f'{M} x {K}', items=N, build_seconds=seconds, trie_mib=sum(t.numel()*t.element_size() for t in tensors)/2**20, build_mib=peak,
                     search_ms=statistics.median(milliseconds() for _ in range(7)))
        def work():
            recommend(history_BT, 10)
            return 64
        return work,about
    return make

PROGRAMS = {f'{M} x {K}, {N:,}':program(M, K, N) for M,K in ((4,256),(3,2048)) for N in (10_000,1_000_000,10_000_000)}

if __name__=='__main__': main(PROGRAMS, 'users')
