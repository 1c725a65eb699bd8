"Each decision about own data, through the steps that read it, beside what plain Python decides"
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from semids.conversion import read_sequences
from semids.errors import InputError
from semids.pipeline import own_run, run_pipeline
from semids.semantic_ids import read_ids
from semids.toy_shop import toy_shop

SHORT = ['sasrec.training.steps=1', 'rqvae.training.steps=2', 'rqvae.training.every=2']
STEPS = ['items', 'sasrec', 'rqvae', 'semantic_ids', 'conversion']

@pytest.fixture(scope='module')
def shop():
    "Actions and items of a small shop; some actions twice, one item unknown, one without an action"
    toy = toy_shop(n_users=400, n_categories=3, n_items=5)
    ixs = toy.interactions
    users = np.repeat(ixs.user_ids, ixs.lengths_U).tolist()
    items = ixs.item_ids[ixs.items_A].tolist()
    rows = list(zip(users, items))
    # every tenth action twice in a row, and the first item of every history once more at its end
    rows = [row for n, row in enumerate(rows) for _ in range(2 if n % 10 == 0 else 1)]
    firsts = [(str(u), str(ixs.item_ids[ixs[n][0]])) for n, u in enumerate(ixs.user_ids)]
    rows += [row for n, row in enumerate(firsts) if n % 7 == 0]
    rows += [(f'user-{n}', 'unknown') for n in range(9)]
    actions = pa.table(dict(user=[u for u, _ in rows], item=[i for _, i in rows],
                            time=list(range(len(rows)))))
    goods = pa.table(dict(item=[*ixs.item_ids, 'new'], title=[*toy.texts, toy.texts[3]]))
    return rows, actions, goods

def prepared(rows, known, repeats='keep', unmatched='drop', min_item=1, min_user=3, cold='keep'):
    "The histories that should be left, and the catalogue"
    kept = {}
    for user, item in rows:
        history = kept.setdefault(user, [])
        if repeats == 'merge' and history and history[-1] == item: continue
        if repeats == 'first' and item in history: continue
        history.append(item)
    if unmatched == 'drop':
        kept = {u: [i for i in items if i in known] for u, items in kept.items()}
    while True:
        times = Counter(i for items in kept.values() for i in items)
        new = {u: [i for i in items if times[i] >= min_item] for u, items in kept.items()}
        new = {u: items for u, items in new.items() if len(items) >= min_user}
        if new == kept: break
        kept = new
    acted = {i for items in kept.values() for i in items}
    return kept, acted | (known if cold == 'keep' else set())

DECISIONS = [dict(), dict(repeats='merge'), dict(repeats='first'), dict(unmatched='neutral'),
             dict(cold='drop'), dict(min_item=60, cold='drop'), dict(min_user=6, min_item=20),
             dict(unmatched='neutral', cold='drop', repeats='merge')]

@pytest.mark.parametrize('decision', DECISIONS, ids=str)
def test_every_step_sees_what_was_decided(shop, decision, tmp_path):
    rows, actions, goods = shop
    decision = dict(unmatched='drop') | decision
    run = own_run(actions, goods, out=tmp_path, device='cpu', changes=SHORT, **decision)
    run_pipeline(run, STEPS)
    histories, catalogue = prepared(rows, set(goods['item'].to_pylist()), **decision)
    learnt = read_sequences(run.folder/'sequences.safetensors').split
    assert run.load().ixs.as_dict() == histories
    assert set(learnt.item_ids.tolist()) == catalogue
    assert set(read_ids(run.folder/'semantic_ids.json').item_ids.tolist()) == catalogue
    assert learnt.items_A.tolist() == run.load().split.items_A.tolist()
    left = run.load().report[-1]
    counts = (len(histories), len(catalogue), sum(map(len, histories.values())))
    assert (left['users'], left['items'], left['actions']) == counts

def test_unknown_items_are_refused_unless_told(shop, tmp_path):
    _, actions, goods = shop
    with pytest.raises(InputError, match="9 of .* actions are on 1 items without content"):
        own_run(actions, goods, out=tmp_path, device='cpu')
