"Properties that hold for any input, searched for by hypothesis"
import numpy as np
import torch
from hypothesis import given, settings, strategies as st

from semids.beam_search import Constraints, DenseTrie, Trie, beam_search
from semids.interactions import Interactions, read_interactions
from semids.semantic_ids import add_collision_code
from semids.splits import leave_one_out

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
        again = read_interactions(folder/name, time=None)
        histories = [again.item_ids[rows].tolist() for rows in again]
        found = dict(zip(again.user_ids.tolist(), histories))
        assert found == users, name
        assert again.item_ids.tolist() == ixs.item_ids.tolist()

def scorer_of_last_code(K, M, seed):
    "Scores that depend on the code before, and their tables"
    g = torch.Generator().manual_seed(seed)
    tables = [torch.randn(*[K]*min(m, 1), K, generator=g) for m in range(M)]

    def next_scores(prefix_BWm, parent_BW):
        m = prefix_BWm.shape[2]
        if m == 0: return tables[m].expand(1, prefix_BWm.shape[1], -1)
        return tables[m][prefix_BWm[..., -1]]
    return next_scores, tables, g

def exact_logp(tables, codes_NM):
    "Of every ID, item by item: each code competes with those that other items have in its place"
    found = []
    for codes in codes_NM.tolist():
        logp = 0.
        for m, code in enumerate(codes):
            alike = codes_NM[(codes_NM[:, :m] == codes_NM.new_tensor(codes[:m])).all(1)]
            score_K = tables[m][codes[m-1]] if m else tables[m]
            exists = alike[:, m].unique()
            logp += score_K[code]-score_K[exists].logsumexp(0)
        found.append(logp)
    return torch.stack(found)

@given(st.lists(st.tuples(*[st.integers(0, 3)]*3), min_size=1, max_size=30), st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_beam_search_is_exact_with_enough_beams(codes, seed):
    K = 30
    codes_NM = add_collision_code(torch.tensor(codes), K)
    N = len(codes_NM)
    next_scores, tables, g = scorer_of_last_code(K, 4, seed)
    exact_N = exact_logp(tables, codes_NM)
    torch.testing.assert_close(exact_N.exp().sum(), torch.tensor(1.))
    seen_BT = torch.randint(-1, N, (1, 3), generator=g)
    allowed_N = torch.rand(N, generator=g) < .8
    seen = seen_BT[0].tolist()
    wanted = {n for n in range(N) if allowed_N[n] and n not in seen}
    for kind in (Trie, DenseTrie):
        trie = kind(codes_NM)
        rules = Constraints(trie, seen_BT, allowed_N)
        items_Bk, logp_Bk = beam_search(next_scores, trie, 1, N, N, rules)
        found = items_Bk[0][items_Bk[0] >= 0]
        logp = logp_Bk[0, :len(found)]
        assert set(found.tolist()) == wanted and len(found) == len(wanted)
        torch.testing.assert_close(logp, exact_N[found])
        assert (logp.diff() <= 0).all()

@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=8), min_size=1, max_size=8))
@settings(deadline=None)
def test_leave_one_out_parts_make_the_whole(histories):
    users = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    ixs = Interactions.from_flat(users, [i for h in histories for i in h])
    split = leave_one_out(ixs)
    for u in range(len(histories)):
        user = torch.tensor([u])
        train = split.train.sequences(user)[0]
        valid, test = split.valid.target_X[user], split.test.target_X[user]
        whole = torch.cat([train[train >= 0], valid, test])
        assert ixs.item_ids[whole].tolist() == [str(i) for i in histories[u]]
