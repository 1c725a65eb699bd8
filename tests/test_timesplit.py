"A split by time: against loops over a log, blind to the future, and a whole run of the pipeline"
import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from hypothesis import given, settings, strategies as st

from semids.conversion import make_sequences, read_sequences, write_sequences
from semids.errors import InputError
from semids.evaluation import Markov, Popularity, compare
from semids.files import read_json
from semids.interactions import Interactions, read_interactions
from semids.pipeline import Run, RunSettings, fit, outdated
from semids.semantic_ids import SemanticIDs
from semids.splits import leave_one_out, split_by_time
from semids.toy_shop import toy_shop

# user, item, time
logs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 20)),
                min_size=1, max_size=40)
moments = st.integers(-1, 21)
early = st.integers(0, 10)
late = st.integers(11, 20)

def with_all_parts(log, valid_from, test_from):
    "A log with one more user, who has an example in every part"
    return log+[(9, 0, valid_from-1), (9, 1, valid_from), (9, 2, test_from)]

def plain(log, valid_from, test_from):
    "For each part the user, history and target of its examples, by loops over the log"
    by_user = defaultdict(list)
    for user, item, time in log: by_user[user].append((time, item))
    parts = dict(train=[], valid=[], test=[])
    for user, actions in by_user.items():
        # stable: equal times keep the order of the log
        actions.sort(key=lambda action: action[0])
        before = [item for time, item in actions if time < valid_from]
        between = [item for time, item in actions if valid_from <= time < test_from]
        after = [item for time, item in actions if time >= test_from]
        if before: parts['train'].append((user, before[:-1], before[-1]))
        if before and between: parts['valid'].append((user, before, between[0]))
        if before+between and after: parts['test'].append((user, before+between, after[0]))
    return parts

def spelt(split, examples):
    "History and target of examples, in raw ids"
    rows = examples.sequences(torch.arange(len(examples))).numpy()
    ids = [split.item_ids[row[row >= 0]].tolist() for row in rows]
    return [(items[:-1], items[-1]) for items in ids]

def as_text(found):
    return [([str(i) for i in history], str(target)) for _, history, target in found]

def interactions(log):
    users, items, times = zip(*log)
    return Interactions.from_flat(users, items, times)

@given(logs, moments, moments)
@settings(deadline=None, max_examples=300)
def test_every_example_is_the_one_of_the_loops(log, valid_from, test_from):
    expected = plain(log, valid_from, test_from)
    ixs = interactions(log)
    if not all(expected.values()):
        with pytest.raises(InputError, match='nobody acts before .*; the times go from'):
            split_by_time(ixs, valid_from, test_from)
        return
    split = split_by_time(ixs, valid_from, test_from)
    for part, found in expected.items(): assert spelt(split, getattr(split, part)) == as_text(found)
    tested = ixs.user_ids[split.test_users.numpy()].tolist()
    assert tested == [str(user) for user, _, _ in expected['test']]
    train, valid, test = split.report()
    n_before = sum(time < valid_from for _, _, time in log)
    assert (train['users'], train['actions']) == (len(expected['train']), n_before)
    assert valid['users'] == valid['actions'] == len(expected['valid'])
    assert test['items'] == len({target for _, _, target in expected['test']})

@given(logs, early, late, st.integers(1, 4))
@settings(deadline=None, max_examples=200)
def test_nothing_from_valid_from_on_is_learnt(log, valid_from, test_from, max_len):
    ixs = interactions(with_all_parts(log, valid_from, test_from))
    split = split_by_time(ixs, valid_from, test_from)
    times_A = torch.tensor(ixs.times_A)
    for examples in (split.train, split.train.prefixes(), split.train.windows(max_len)):
        # times ascend: the target is the latest of an example
        assert (times_A[examples.end_X] < valid_from).all()
    seen = split.train.prefixes()
    # each action before valid_from is learnt once, but for the first of a user
    assert len(seen) == int((times_A < valid_from).sum())-len(split.train)
    assert (times_A[split.valid.end_X] >= valid_from).all()
    assert (times_A[split.valid.end_X] < test_from).all()
    assert (times_A[split.test.end_X] >= test_from).all()
    # the latest of a history is known when the test begins
    assert (times_A[split.test.end_X-1] < test_from).all()
    assert (times_A[split.valid.end_X-1] < valid_from).all()

@given(logs, early, late, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_another_future_changes_nothing_that_is_known(log, valid_from, test_from, random):
    "Whoever could see the future would tell these two logs apart"
    # the same catalogue on both sides
    log = with_all_parts(log, valid_from, test_from)+[(8, item, -2) for item in range(7)]
    other = [(u, random.randint(0, 6) if t >= test_from else i, t) for u, i, t in log]
    a, b = [split_by_time(interactions(each), valid_from, test_from) for each in (log, other)]
    assert a.count_N.equal(b.count_N)
    rows = torch.arange(len(a.test))
    history_BT = a.test.histories(rows)
    assert history_BT.equal(b.test.histories(rows))
    assert a.valid.sequences(torch.arange(len(a.valid))).equal(
        b.valid.sequences(torch.arange(len(b.valid))))
    for kind in (Popularity, Markov):
        of_a, of_b = kind(a)(history_BT, 3), kind(b)(history_BT, 3)
        assert of_a[0].equal(of_b[0]) and of_a[1].equal(of_b[1])

def timed_shop(n_users=400):
    "A small shop whose customers begin on some day of fifty and then buy something every day"
    shop = toy_shop(n_users=n_users, n_categories=3, n_items=5)
    ixs = shop.interactions
    first_U = np.random.default_rng(0).integers(50, size=len(ixs))
    action_A = np.arange(len(ixs.items_A))-np.repeat(ixs.offsets[:-1], ixs.lengths_U)
    return shop, replace(ixs, times_A=np.repeat(first_U, ixs.lengths_U)+action_A)

def as_table(ixs, unit):
    "A row per action, in no order, on days from the 1st of July 2014 on"
    day_A = np.datetime64('2014-07-01')+ixs.times_A.astype('timedelta64[D]')
    table = pa.table(dict(user=np.repeat(ixs.user_ids, ixs.lengths_U),
                          item=ixs.item_ids[ixs.items_A],
                          time=pa.array(day_A.astype(f'datetime64[{unit}]'))))
    return table.take(np.random.default_rng(1).permutation(len(table)))

@pytest.mark.parametrize('unit', ['D', 's', 'ms', 'us', 'ns'])
def test_dates_mean_the_same_in_every_unit_and_format(tmp_path, unit):
    _, ixs = timed_shop()
    expected = split_by_time(ixs, 30, 37)
    table = as_table(ixs, unit)
    pa.csv.write_csv(table, tmp_path/'log.csv')
    pa.parquet.write_table(table, tmp_path/'log.parquet')
    found = [Interactions.from_frame(table), read_interactions(tmp_path/'log.csv'),
             read_interactions(tmp_path/'log.parquet')]
    assert found[0].time_unit == unit
    # what is written keeps its calendar
    found[0].write(tmp_path/'again.parquet')
    found.append(read_interactions(tmp_path/'again.parquet'))
    by_user = dict(zip(ixs.user_ids[expected.test_users.numpy()].tolist(),
                       ixs.item_ids[expected.test.target_X.numpy()].tolist()))
    for each in found:
        split = split_by_time(each, '2014-07-31', '2014-08-07T00:00:00')
        users = each.user_ids[split.test_users.numpy()].tolist()
        assert dict(zip(users, each.item_ids[split.test.target_X.numpy()].tolist())) == by_user
        assert split.count_N.sum() == expected.count_N.sum()

def test_sequences_keep_the_split(tmp_path):
    _, ixs = timed_shop()
    n = torch.arange(len(ixs.item_ids))
    ids = SemanticIDs(ixs.item_ids, torch.stack([n//16, n % 16], 1), 16)
    split = split_by_time(ixs, 30, 37)
    write_sequences(make_sequences(ixs, ids, split), tmp_path/'sequences.safetensors')
    again = read_sequences(tmp_path/'sequences.safetensors').split
    for part in ('items_A', 'offsets', 'targets_3U'):
        assert getattr(again, part).equal(getattr(split, part))
    assert again.count_N.equal(split.count_N)

def test_a_table_says_how_it_was_split():
    _, ixs = timed_shop()
    by_time = split_by_time(ixs, 30, 37)
    found = compare({'Popularity':Popularity(by_time)}, by_time)
    assert found.protocol().startswith('by time, valid from 30, test from 37, ')
    last = leave_one_out(ixs)
    assert compare({'Popularity':Popularity(last)}, last).protocol().startswith('leave-one-out, ')
    runs = [{'Popularity':Popularity(split)} for split in (by_time, last)]
    with pytest.raises(InputError, match='expected one rule'): compare(runs, [by_time, last])

by_time = dict(split='by time', valid_from='2014-07-31', test_from='2014-08-07')

@pytest.mark.parametrize('data,says', [
    (dict(by_time, test_from=''), "test_from is '', and split is 'by time'; expected a date"),
    (dict(valid_from='2014-07-31'), "valid_from is '2014-07-31', and split is 'leave-one-out'"),
    (dict(by_time, time=''), 'time and times are empty; expected times'),
    (dict(min_user=2), 'min_user is 2; expected at least 3'),
    (dict(by_time, interactions='toy', items=''), "interactions is 'toy', and split is set"),
    (dict(by_time, split='by week'), "expected one of 'leave-one-out', 'by time'"),
    (dict(by_time, valid_from=True), 'expected str')])
def test_settings_that_do_not_go_together(data, says):
    with pytest.raises(InputError, match=re.escape(says)):
        RunSettings().update(dict(data=dict(interactions='a.csv', items='i.csv') | data))

def test_a_number_is_a_time_too():
    data = dict(by_time, interactions='a.csv', items='i.csv', valid_from=1404172800, min_user=1)
    assert RunSettings().update(dict(data=data)).data.valid_from == '1404172800'

def test_times_that_cannot_be_compared(tmp_path):
    shop, ixs = timed_shop()
    table = as_table(ixs, 's')
    goods = pa.table(dict(item=ixs.item_ids, title=shop.texts))
    for change, says in [
            (dict(valid_from=30), "data.valid_from='30' is a number, and the times go from 2014-"),
            (dict(test_from='2015-01-01'), "data.test_from='2015-01-01': nobody acts before test"),
            (dict(test_from='soon'), "data.test_from='soon': Failed to parse")]:
        with pytest.raises(InputError, match=re.escape(says)):
            fit(table, goods, out=tmp_path, device='cpu', **by_time | change)

@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    "A run by time, users with one action and items without any included"
    shop, ixs = timed_shop()
    new = [f'new-{n}' for n in range(12)]
    goods = pa.table(dict(item=[*ixs.item_ids, *new], title=[*shop.texts, *shop.texts[:12]]))
    table = as_table(ixs, 'us')
    once = pa.table(dict(user=[f'once-{n}' for n in range(9)], item=ixs.item_ids[:9],
                         time=pa.array(np.full(9, np.datetime64("2014-07-03", "us")))))
    table = pa.concat_tables([table, once])
    quick = [f'{step}.training.steps=40' for step in ('rqvae', 'tiger', 'rq_transformer')]
    run = fit(table, goods, out=tmp_path_factory.mktemp('whole'), device='cpu', changes=quick,
              min_user=1, **by_time)
    return run, table

def log_of(table):
    day = table['time'].to_numpy().astype('datetime64[D]').astype(str).tolist()
    return list(zip(table['user'].to_pylist(), table['item'].to_pylist(), day))

def test_a_whole_run(whole):
    run, table = whole
    expected = plain(log_of(table), '2014-07-31', '2014-08-07')
    metrics = read_json(run.folder/'metrics.json')
    says = 'by time, valid from 2014-07-31, test from 2014-08-07, first action'
    assert metrics['protocol']['split'] == says
    assert metrics['protocol']['users'] == len(expected['test'])
    assert says in str(run.results())
    counts = {row['what']: row['users'] for row in metrics['protocol']['left']}
    assert counts['as read'] == 409
    assert counts['for training'] == len(expected['train'])
    assert counts['targets of validation'] == len(expected['valid'])
    assert counts['targets of the test'] == len(expected['test'])
    found = {name: m['recall@10'] for name, m in metrics['seen masked'].items()}
    for name in ('Markov', 'SASRec', 'Fusion'): assert found[name] > found['Popularity']+.1
    assert all(m['invalid'] == 0 for name, m in metrics['seen masked'].items()
               if name in ('SASRec', 'TIGER', 'RQ-Transformer'))

def test_ranked_items_stand_beside_their_users(whole):
    run, table = whole
    expected = plain(log_of(table), '2014-07-31', '2014-08-07')['test']
    targets = {user: (history, target) for user, history, target in expected}
    for path in sorted((run.folder/'ranked').glob('*.parquet')):
        rows = pa.parquet.read_table(path).to_pylist()
        assert len(rows) == 2*len(targets)
        assert {row['user'] for row in rows} == targets.keys()
        for row in rows:
            history, target = targets[row['user']]
            assert row['target'] == target
            if row['seen_masked']: assert not set(history) & set(row['items'])
    # the numbers can be counted again
    hits = [row['target'] in row['items'][:10] for row in rows if row['seen_masked']]
    name = {'tiger': 'TIGER'}.get(path.stem, path.stem)
    metrics = read_json(run.folder/'metrics.json')['seen masked']
    assert metrics[name]['recall@10'] == pytest.approx(np.mean(hits))

def test_another_time_is_another_run(whole):
    run, _ = whole
    later = run.settings.update(dict(data=dict(test_from='2014-08-08')))
    other = Run(later, run.data, run.folder.parent.parent, 'cpu')
    assert 'ran with another data.test_from' in outdated(other, 'sasrec')
    assert outdated(run, 'sasrec') == ''
