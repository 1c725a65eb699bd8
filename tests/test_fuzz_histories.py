"Histories from spoilt files: read right, or refused in one line that names the file"
import datetime
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from semids.errors import InputError
from semids.interactions import Interactions, as_ids, check_unique, match_ids, read_interactions
from semids.splits import leave_one_out

# HYPOTHESIS_PROFILE=long tries 10,000 files per reader
EXAMPLES = 10_000 if os.environ.get('HYPOTHESIS_PROFILE') == 'long' else 60
searching = settings(deadline=None, max_examples=EXAMPLES,
                     suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXT = 'al 9 100 é\nbo 9 12 7\ncy 9\n'.encode()
JSON = json.dumps({'al': ['9', '100'], 'bo': ['9', 12, '7'], 'cy': ['é']}).encode()
CSV = b'user,item,time\nal,9,5\nbo,9,1\nal,100,2\nbo,"12",4\n'

def parquet_bytes():
    sink = pa.BufferOutputStream()
    columns = dict(user=['al', 'bo', 'al', 'bo'], item=['9', '9', '100', '12'], time=[5, 1, 2, 4])
    pa.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()

VALID = {'a.txt': TEXT, 'a.inter.json': JSON, 'a.csv': CSV, 'a.parquet': parquet_bytes()}
# what the formats themselves are made of, and what has gone wrong before
PIECES = [b'\n', b'\r', b'\r\n', b' ', b',', b'"', b'\0', b'\xff', b'\xef\xbb\xbf', b'\xed\xa0\x80',
          b'\\ud800', b'\\u0000', b'[', b']', b'{', b'}', b':', b'null', b'true', b'1.5', b'12.0',
          b'NaN', b'inf', b'-', b'user', b'item', b'time', b'al', b'2026-11-24', b'9'*30,
          '\u00a0'.encode(), '\u2028'.encode(), b'\x1c', b'x'*300]

@st.composite
def spoilt(draw, data):
    "A valid file with some bytes replaced, put in, taken out, or cut off; or any bytes at all"
    if draw(st.integers(0, 9)) == 0: return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = min(begin + draw(st.sampled_from([0, 0, 1, 1, 2, 8, 10**6])), len(data))
        new = draw(st.sampled_from(PIECES) | st.binary(max_size=3))
        data = data[:begin] + new + data[end:]
    return data

def refused(name, call, *args, **kwargs):
    "The result, or None if it was refused as it should be; anything else is raised"
    try: return call(*args, **kwargs)
    except InputError as e:
        message = str(e)
        assert len(message) <= 300 and len(message.splitlines()) == 1, message
        assert name in message, message
        message.encode()

def consistent(ixs):
    "Whatever was read: every user has a history, every row an item, and ids can be written"
    U, N, A = len(ixs.user_ids), len(ixs.item_ids), len(ixs.items_A)
    assert ixs.offsets[0] == 0 and ixs.offsets[-1] == A and len(ixs.offsets) == U+1
    assert (ixs.lengths_U > 0).all()
    assert sorted(set(ixs.items_A.tolist())) == list(range(N))
    for ids in (ixs.user_ids.tolist(), ixs.item_ids.tolist()):
        assert len(set(ids)) == len(ids) and all(ids)
        assert all(i.encode() and '\0' not in i for i in ids)
    if ixs.times_A is not None:
        assert ixs.times_A.dtype == np.int64 and len(ixs.times_A) == A
        for u in range(U):
            times = ixs.times_A[ixs.offsets[u]:ixs.offsets[u+1]]
            assert (np.diff(times) >= 0).all()

def histories(ixs): return {u: ixs.item_ids[h].tolist() for u, h in zip(ixs.user_ids.tolist(), ixs)}

def plain_text(data):
    lines = [line.split() for line in data.decode('utf-8-sig').split('\n')]
    return {user: items for user, *items in filter(None, lines)}

def plain_json(data):
    users = json.loads(data.decode('utf-8-sig'))
    return {user: [str(i) for i in items] for user, items in users.items()}

def plain_csv(data):
    "How many actions: CSV has quotes and empty lines, which Arrow alone knows"
    return pa.csv.read_csv(pa.BufferReader(data)).num_rows

@pytest.mark.parametrize('name', VALID)
def test_valid_files_are_read(tmp_path, name):
    (tmp_path/name).write_bytes(VALID[name])
    ixs = read_interactions(tmp_path/name)
    consistent(ixs)
    assert ixs.user_ids.tolist()[:2] == ['al', 'bo'] and len(ixs.items_A) >= 4

@searching
@given(st.data())
def test_spoilt_text(tmp_path, data): check(tmp_path, 'a.txt', data, plain_text)

@searching
@given(st.data())
def test_spoilt_json(tmp_path, data): check(tmp_path, 'a.inter.json', data, plain_json)

@searching
@given(st.data())
def test_spoilt_csv(tmp_path, data):
    ixs, raw = check(tmp_path, 'a.csv', data)
    if ixs: assert len(ixs.items_A) == plain_csv(raw)

@searching
@given(st.data())
def test_spoilt_parquet(tmp_path, data): check(tmp_path, 'a.parquet', data)

def check(folder, name, data, plainly=None):
    raw = data.draw(spoilt(VALID[name]))
    (folder/name).write_bytes(raw)
    ixs = refused(name, read_interactions, folder/name)
    if ixs is None: return None, raw
    consistent(ixs)
    if plainly: assert histories(ixs) == plainly(raw)
    return ixs, raw

COLUMNS = [
    lambda n: pa.array([f'i{k % 3}' for k in range(n)]),
    lambda n: pa.array(range(n)),
    lambda n: pa.array(range(n), pa.uint8()),
    lambda n: pa.array([f'i{k % 3}' for k in range(n)], pa.large_string()),
    lambda n: pa.array([f'i{k % 3}' for k in range(n)], pa.string_view()),
    lambda n: pa.array([f'i{k % 3}' for k in range(n)]).dictionary_encode(),
    lambda n: pa.array([n-k for k in range(n)]).dictionary_encode(),
    lambda n: pa.array([k-.5 for k in range(n)]),
    lambda n: pa.array([float('nan')]*n),
    lambda n: pa.array([1e300]*n),
    lambda n: pa.nulls(n),
    lambda n: pa.array([None, *['x']*n][:n], pa.string()),
    lambda n: pa.array([True]*n),
    lambda n: pa.array([b'x\xff']*n),
    lambda n: pa.array([b'x\xff']*n).view(pa.string()) if n else pa.array([], pa.string()),
    lambda n: pa.array(['', *['x']*n][:n], pa.string()),
    lambda n: pa.array(['a\0', *['x']*n][:n], pa.string()),
    lambda n: pa.array([[1]]*n),
    lambda n: pa.array([{'a': 1}]*n),
    lambda n: pa.array([datetime.date(2026, 11, 24)]*n),
    lambda n: pa.array([datetime.datetime(2026, 11, 24-k % 9) for k in range(n)]),
    lambda n: pa.array([datetime.datetime(2026, 11, 24)]*n).cast(pa.timestamp('ns', 'Asia/Tokyo')),
    lambda n: pa.array([datetime.time(1)]*n),
    lambda n: pa.array([datetime.timedelta(1)]*n),
    lambda n: pa.array([2**63]*n, pa.uint64())]

@searching
@given(st.lists(st.sampled_from(COLUMNS), min_size=3, max_size=3), st.integers(0, 6),
       st.sampled_from([('user', 'item', name) for name in ('time', 'ts', 'item')]),
       st.sampled_from(['time', 'ts', 'item', None]))
def test_any_frame(columns, n, names, time):
    table = pa.table([column(n) for column in columns], names)
    ixs = refused('frame', Interactions.from_frame, table, time=time)
    if ixs is None: return
    consistent(ixs)
    assert len(ixs.items_A) == n and (time is None or ixs.times_A is not None)
    # an independent reading: Python's stable sort of the rows
    rows = list(zip(*[table[name].to_pylist() for name in ('user', 'item', time or 'user')]))
    if time is not None: rows.sort(key=lambda row: row[2])
    found = {}
    for user, item, _ in rows: found.setdefault(str(user), []).append(str(item))
    assert histories(ixs) == found

any_value = st.one_of(st.text(st.characters(), max_size=3), st.integers(), st.booleans(), st.none(),
                      st.floats(), st.binary(max_size=2), st.dates(), st.just(10**5000),
                      st.lists(st.integers(), max_size=2), st.sampled_from(['a\0', '\ud800', '']))

@searching
@given(st.lists(any_value, max_size=4), st.booleans())
def test_any_ids(values, as_text):
    if as_text: values = [v for v in values if isinstance(v, str)]
    given_values = np.array(values, np.str_) if as_text and values else values
    ids = refused('ids', as_ids, given_values)
    if ids is None: return
    plain = given_values.tolist() if as_text and values else values
    assert ids.tolist() == [str(v) for v in plain]
    assert all(i and '\0' not in i and i.encode() for i in ids.tolist())

MESSAGES = {
    'CR only': ('a.txt', b'al 9\rbo 9\r', 'a.txt, line 1: '),
    'user twice': ('a.txt', b'al 9\nbo 9\nal 7\n', "a.txt, line 3: user 'al' was already seen"),
    'junk': ('a.txt', bytes(range(256)), 'a.txt, line 1: '),
    'nothing': ('a.txt', b'', 'a.txt: no users'),
    'nothing in JSON': ('a.inter.json', b'{}', 'a.inter.json: no users'),
    'NUL at the end': ('a.inter.json', b'{"u": ["a", "a\\u0000"]}', r'NUL|u0000'),
    'surrogate': ('a.inter.json', b'{"u": ["\\ud800"]}', r'half of a character|ud800'),
    'header only': ('a.csv', b'user,item,time\n', 'a.csv: no actions'),
    'ragged': ('a.csv', b'user,item,time\n1,2\n', 'a.csv: not readable as CSV: .*Expected 3'),
    'name of bytes': ('a.csv', b'user,\xff,time\n1,2,3\n', 'a.csv: not readable as a table'),
    'truth': ('a.csv', b'user,item,time\n1,2,true\n', 'a.csv: times are bool'),
    'time of day': ('a.csv', b'user,item,time\n1,2,10:00:00\n', 'a.csv: times are time32'),
    '5,000 digits': ('a.csv', b'user,item,time\n1,2,' + b'9'*5000, 'a.csv: times: row 1 is inf'),
    'too large': ('a.csv', b'user,item,time\n1,2,9223372036854775808\n', '64 bits at most'),
    'other name': ('a.csv', b'user,item,timestamp\n1,2,3\n',
                   "expected time='timestamp', or time=None"),
    'other columns': ('a.csv', b'user,item,stars\n1,2,3\n', 'none looks like times'),
    'no other column': ('a.csv', b'user,item\n1,2\n', 'or time=None'),
    'footer': ('a.parquet', b'PAR1' + bytes(40) + b'PAR1', 'a.parquet: not readable as Parquet')}

@pytest.mark.parametrize('kind', MESSAGES)
def test_messages(tmp_path, kind):
    name, data, says = MESSAGES[kind]
    (tmp_path/name).write_bytes(data)
    with pytest.raises(InputError, match=says): read_interactions(tmp_path/name)

ISO = {'dates': ('2026-11-24', '2026-11-23'),
       'timestamps': ('2026-11-24 00:00:01', '2026-11-24 00:00:00'),
       'a fraction': ('2026-11-24 00:00:00.5', '2026-11-24 00:00:00.25'),
       'UTC': ('2026-11-24T00:00:01Z', '2026-11-24T00:00:00Z'),
       # an hour later by the clock on the wall, and an hour earlier
       'zones': ('2026-11-24T01:00:00+01:00', '2026-11-24T00:30:00+02:00'),
       'numbers': ('1.5', '-0.5'),
       'whole floats': ('2.0', '1'), 'large': ('2', '-9223372036854775808')}

@pytest.mark.parametrize('kind', ISO)
def test_kinds_of_times_in_csv(tmp_path, kind):
    later, earlier = ISO[kind]
    (tmp_path/'a.csv').write_text(f'user,item,when\nu,second,{later}\nu,first,{earlier}\n')
    ixs = read_interactions(tmp_path/'a.csv', time='when')
    assert histories(ixs) == {'u': ['first', 'second']}
    assert ixs.times_A[0] < ixs.times_A[1] and ixs.order == "by column 'when'"

def test_what_is_no_file(tmp_path):
    (tmp_path/'a.csv').mkdir()
    os.mkfifo(tmp_path/'a.txt')
    for name in ('a.csv', 'a.txt'):
        with pytest.raises(InputError, match=f'{name}: a .*; expected a file'):
            read_interactions(tmp_path/name)
    with pytest.raises(InputError, match='b.txt: no such file'): read_interactions(tmp_path/'b.txt')

def test_order_is_remembered(tmp_path):
    written = "of the file's histories"
    by_time = "by column 'time'"
    orders = {'a.txt': written, 'a.inter.json': written, 'a.csv': by_time, 'a.parquet': by_time}
    for name, order in orders.items():
        (tmp_path/name).write_bytes(VALID[name])
        ixs = read_interactions(tmp_path/name)
        assert ixs.order == order == ixs.with_at_least(2).order
    told = read_interactions(tmp_path/'a.csv', time=None)
    assert told.order == 'of the rows, as told' and told.times_A is None
    assert histories(told)['al'] == ['9', '100']

def test_one_long_id_is_refused_before_room_is_made():
    ids = [str(k) for k in range(10_000)] + ['x'*1_000_000]
    says = r'1,000,000 characters; 10,001 ids as wide as that need 40.0 GB'
    with pytest.raises(InputError, match=f'ids: entry 10000 has {says}'): as_ids(ids)
    with pytest.raises(InputError, match=f'ids: row 10001 has {says}'): as_ids(pa.array(ids))
    with pytest.raises(InputError, match=f'memory: items: row 10001 has {says}'):
        Interactions.from_flat(['u']*10_001, pa.chunked_array([ids]))
    # a catalogue of a million with one id four times as long as the others is none of this
    as_ids(['0123456789']*999_999 + ['x'*40])

def test_matching_names_both_sides():
    ids = np.array(['b', 'a', 'c'])
    assert match_ids(['a', 'b', 'c'], ids).tolist() == [1, 0, 2]
    says = r"2 items of x are not in y \(first: \['d', 'e'\]\); 1 items of y are not in x"
    with pytest.raises(InputError, match=says): match_ids(['a', 'd', 'b', 'e'], ids, 'x', 'y')
    with pytest.raises(InputError, match=r"x: 2 item ids occur more than once, first \['z', 'a'\]"):
        check_unique(np.array(['z', 'a', 'b', 'a', 'z']), 'x')

@pytest.mark.parametrize('shape', [(1, 3, 1), (1, 5, 5), (4, 3, 1), (4, 3, 3)])
def test_small_splits(shape):
    "One user, one item, users who are alike"
    U, length, N = shape
    items = [t % N for t in range(length)]
    ixs = Interactions.from_flat(np.repeat(np.arange(U), length), items*U)
    split = leave_one_out(ixs)
    assert len(split.train) == len(split.valid) == len(split.test) == U
    assert ixs.item_ids[split.test.target_X.numpy()].tolist() == [str(items[-1])]*U
    assert len(split.train.prefixes()) == len(split.train.windows(1)) == U*(length-3)
