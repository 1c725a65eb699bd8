"Properties that hold for any input, searched for by hypothesis"
import numpy as np
import torch
from hypothesis import given, settings, strategies as st

from semids.beam_search import Constraints, Trie, beam_search
from semids.data import Interactions, leave_one_out, read_interactions
from semids.semantic_ids import add_collision_code

word = st.text(st.characters(codec='utf-8', exclude_categories=('Z', 'C')), min_size=1, max_size=6)
shop = st.dictionaries(word, st.lists(word, min_size=1, max_size=6), min_size=1, max_size=6)

@given(shop)
@settings(deadline=None)
def test_formats_keep_everything(tmp_path_factory, users):
    folder = tmp_path_factory.mktemp('formats')
    flat = [(u, i) for u, items in users.items() for i in items]
    ixs = Interactions.from_flat([u for u, _ in flat], [i for _, i in flat])
    for name in ('a.txt', 'a.inter.json', 'a.parquet'):
        ixs.write(folder/name)
        again = read_interactions(folder/name)
        assert {u: again.item_ids[again[n]].tolist() for n, u in enumerate(again.user_ids.tolist())} == users, name
        assert again.item_ids.tolist() == ixs.item_ids.tolist()

@given(st.lists(st.tuples(*[st.integers(0, 3)]*3), min_size=1, max_size=30), st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_beam_search_is_exact_with_enough_beams(codes, seed):
    g = torch.Generator().manual_seed(seed)
    K = 30
    codes_NM = add_collision_code(torch.tensor(codes), K)
    N = len(codes_NM)
    tables = [torch.randn(*[K]*min(m, 1), K, generator=g).log_softmax(-1) for m in range(4)]   # depends on the last code
    def next_logp(prefix_BWm, parent_BW):
        m = prefix_BWm.shape[2]
        return tables[m].expand(1, prefix_BWm.shape[1], -1) if m == 0 else tables[m][prefix_BWm[..., -1]]
    exact_N = sum(tables[m][codes_NM[:, m]] if m == 0 else tables[m][codes_NM[:, m-1], codes_NM[:, m]] for m in range(4))
    seen_BT = torch.randint(-1, N, (1, 3), generator=g)
    allowed_N = torch.rand(N, generator=g) < .8
    items_BK, logp_BK = beam_search(next_logp, Trie(codes_NM), 1, N, N, Constraints(Trie(codes_NM), seen_BT, allowed_N))
    wanted = {n for n in range(N) if allowed_N[n] and n not in seen_BT[0].tolist()}
    found = items_BK[0][items_BK[0] >= 0]
    assert set(found.tolist()) == wanted and len(found) == len(wanted)
    torch.testing.assert_close(logp_BK[0, :len(found)], exact_N[found])
    assert (logp_BK[0, :len(found)].diff() <= 0).all()

@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=8), min_size=1, max_size=8))
@settings(deadline=None)
def test_leave_one_out_parts_make_the_whole(histories):
    ixs = Interactions.from_flat(np.repeat(np.arange(len(histories)), [len(h) for h in histories]), [i for h in histories for i in h])
    split = leave_one_out(ixs)
    for u in range(len(histories)):
        whole = ixs.item_ids[[*split.train[u], split.valid.target_X[u], split.test.target_X[u]]].tolist()
        assert whole == [str(i) for i in histories[u]]
