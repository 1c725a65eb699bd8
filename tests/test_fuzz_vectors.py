"Files of vectors that are broken or hostile: read as they should be, or refused in one line"
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from semids.errors import InputError
from semids.files import plain_pickle, read_json, read_lines, write_beside
from semids.items import read_item_vectors, vector_shards

# HYPOTHESIS_PROFILE=long looks for minutes
EXAMPLES = 10_000 if os.environ.get('HYPOTHESIS_PROFILE') == 'long' else 60
fuzz = settings(max_examples=EXAMPLES, deadline=None,
                suppress_health_check=list(HealthCheck))
IDS = ['a', 'bc', 'déf']
X = np.arange(12, dtype=np.float32).reshape(3, 4)

def pickles():
    values = [{'item_id': IDS, 'embedding': X}, X, {'item_id': IDS, 'embedding': X.tolist()},
              {'item_id': np.array(IDS, dtype=object), 'embedding': np.asfortranarray(X)},
              {'item_id': np.array(IDS), 'embedding': list(X.astype('>f8'))}]
    return [pickle.dumps(v, protocol) for v in values for protocol in range(6)]

def tensors():
    x = torch.tensor(X)
    files = []
    for value in (x, x.T, x.bfloat16(), x[1:]):
        file = io.BytesIO()
        torch.save(value, file)
        files.append(file.getvalue())
    return files

def npys():
    files = []
    for value in (X, np.asfortranarray(X), X.astype('>f8')):
        file = io.BytesIO()
        np.save(file, value)
        files.append(file.getvalue())
    return files

def safetensor_files():
    return [safetensors.numpy.save({'vectors': X}, {'item_ids': json.dumps(IDS)})]

def parquets():
    kinds = [(pa.list_(pa.float32()), {}), (pa.list_(pa.float32(), 4), {}),
             (pa.large_list(pa.float64()), dict(compression='none', use_dictionary=False))]
    files = []
    for kind, options in kinds:
        file = io.BytesIO()
        pq.write_table(pa.table({'item_id': IDS, 'embedding': pa.array(list(X), kind)}),
                       file, **options)
        files.append(file.getvalue())
    return files

VALID = {'.pkl': pickles(), '.pt': tensors(), '.npy': npys(), '.parquet': parquets(),
         '.safetensors': safetensor_files(), '.json': [b'{"a": ["b", "\\u00e9", 1.5e3, null]}']}

place = st.floats(0, 1)
edit = st.one_of(st.tuples(st.just('flip'), place, st.integers(1, 255)),
                 st.tuples(st.just('cut'), place, st.integers(1, 40)),
                 st.tuples(st.just('insert'), place, st.binary(min_size=1, max_size=12)),
                 st.tuples(st.just('copy'), place, st.integers(1, 40)),
                 st.tuples(st.just('end'), place, st.just(0)))

def apply(data, edits):
    "A file with some bytes changed, cut out, put in, repeated or cut off"
    for kind, where, what in edits:
        at = int(where*len(data))
        if kind == 'flip' and at < len(data):
            data = data[:at]+bytes([data[at] ^ what])+data[at+1:]
        if kind == 'cut': data = data[:at]+data[at+what:]
        if kind == 'insert': data = data[:at]+what+data[at:]
        if kind == 'copy': data = data[:at]+data[at:at+what]+data[at:]
        if kind == 'end': data = data[:at]
    return data

def files(suffix):
    "Valid files with edits, two of them spliced, or any bytes"
    valid = st.sampled_from(VALID[suffix])
    edited = st.builds(apply, valid, st.lists(edit, max_size=4))
    spliced = st.builds(lambda a, b, p, q: a[:int(p*len(a))]+b[int(q*len(b)):],
                        valid, valid, place, place)
    return st.one_of(edited, edited, spliced, st.binary(max_size=60))

def read(path):
    if path.suffix == '.json': return read_json(path)
    try: return read_item_vectors(path)
    except InputError as e:
        if 'holds no item ids' not in str(e): raise
    return read_item_vectors(path, IDS)

def refusal(path, *args, function=None, **kwargs):
    "The message of a refusal: one line that names the file"
    with pytest.raises(InputError) as e: (function or read_item_vectors)(path, *args, **kwargs)
    message = str(e.value)
    assert len(message) <= 300 and '\n' not in message and path.name in message, message
    return message

@pytest.mark.parametrize('suffix', VALID)
def test_any_bytes_are_read_or_refused(suffix, tmp_path):
    path = tmp_path/f'file{suffix}'
    @given(files(suffix))
    @fuzz
    def check(data):
        path.write_bytes(data)
        try: read(path)
        except InputError as e:
            message = str(e)
            assert len(message) <= 300 and '\n' not in message and path.name in message, message
    check()

def text(word): return b'\x8c'+bytes([len(word)])+word.encode()

INSTRUCTIONS = [b']', b'}', b')', b'(', b'a', b'e', b's', b'u', b'l', b'd', b't', b'\x85', b'\x86',
                b'\x87', b'\x94', b'h\0', b'h\1', b'h\2', b'q\0', b'q\1', b'R', b'b', b'\x93', b'N',
                b'K\1', b'K\2', b'J\xff\xff\xff\xff', b'M\0\x10', b'\x89', b'C\x08abcdefgh',
                b'G?\xf0'+bytes(6), b'cnumpy\nndarray\n', b'cnumpy\ndtype\n', b'c_codecs\nencode\n',
                b'cnumpy._core.multiarray\n_reconstruct\n', b'cnumpy._core.multiarray\nscalar\n',
                b'cnumpy._core.numeric\n_frombuffer\n', b'Q', b'0', b'2', b'\x81',
                *map(text, ('item_id', 'embedding', 'f8', 'U2', 'O8', '<', 'C', 'latin1', 'a'))]
# what belongs together, so that some programs come far
FLOATS = b'cnumpy\ndtype\n'+text('f8')+b'\x85R(K\3'+text('<')+b'NNNJ\xff\xff\xff\xffK\0K\0tb'
PROGRAMS = [FLOATS, b'cnumpy._core.numeric\n_frombuffer\n(C\x08abcdefgh'+FLOATS,
            b'cnumpy._core.multiarray\n_reconstruct\n)R(K\1K\1\x85'+FLOATS+b'\x89']

@given(st.lists(st.sampled_from(INSTRUCTIONS+PROGRAMS), max_size=40))
@fuzz
def test_any_program_is_followed_or_refused(tmp_path_factory, program):
    path = tmp_path_factory.getbasetemp()/'program.pkl'
    path.write_bytes(b''.join(program)+b'.')
    try: read(path)
    except InputError as e: assert len(str(e)) <= 300 and 'program.pkl' in str(e)

@pytest.mark.parametrize('suffix', [s for s in VALID if s != '.json'])
def test_valid_files_are_read(suffix, tmp_path):
    for data in VALID[suffix]:
        (tmp_path/f'file{suffix}').write_bytes(data)
        x = read(tmp_path/f'file{suffix}').vectors_NE if suffix != '.pt' else None
        if x is not None: assert (x == X).all()

value = st.recursive(st.none() | st.booleans() | st.integers(-2**63, 2**64-1) | st.text()
                     | st.floats(allow_nan=False) | st.binary().filter(len),
                     lambda v: st.lists(v) | st.dictionaries(st.text(), v)
                     | st.lists(v).map(tuple), max_leaves=20)

@given(value, st.integers(0, 5))
@fuzz
def test_plain_data_comes_out_as_pickle_reads_it(data, protocol):
    assert plain_pickle(pickle.dumps(data, protocol)) == pickle.loads(pickle.dumps(data))

KINDS = ['?', 'i1', '<u2', '>i4', 'i8', 'f2', '>f4', 'f8', 'U3', '>U2', 'S2']

@given(st.sampled_from(KINDS), st.lists(st.integers(1, 4), max_size=3), st.booleans(),
       st.integers(0, 5))
@fuzz
def test_arrays_come_out_as_pickle_reads_them(kind, shape, by_column, protocol):
    x = np.arange(np.prod(shape, dtype=int)).astype(kind).reshape(shape)
    if by_column: x = np.asfortranarray(x)
    found = plain_pickle(pickle.dumps(x, protocol))
    assert found.shape == x.shape and found.dtype == x.dtype and (found == x).all()

@pytest.fixture
def write(tmp_path):
    def write(name, data):
        (tmp_path/name).write_bytes(data)
        return tmp_path/name
    return write

def object_array():
    "The pickle that made NumPy follow an address: an array of type object over eight bytes"
    return pickle.dumps(np.ones((1, 1)), 5).replace(b'f8', b'O8')

# a list of two, each a list of two, forty times
DOUBLING = b']q\x00'+b''.join(b']q%c(h%ch%ce' % (n, n-1, n-1) for n in range(1, 40))+b'.'

PICKLES = {
    'address': (object_array(), "an array of type 'O8'"),
    'memo': (b'Nr\x00\xe1\xf5\x05.', 'stores as number 100000000'),
    'set': (pickle.dumps({'item_id': set(IDS), 'embedding': X}), 'EMPTY_SET'),
    'persistent': (b'\x80\x02NQ.', 'persistent.id'),
    'extension': (b'\x82\x01.', 'instruction EXT1'),
    'structured': (pickle.dumps(np.zeros(3, 'f4,f4')), 'expected numbers or text'),
    'complex': (pickle.dumps(X*1j), 'expected numbers or text'),
    'times': (pickle.dumps(X.astype('M8[s]')), 'expected numbers or text'),
    'own sum': (b'I1\nI2\n\x86.', 'expected'),
    'shape': (pickle.dumps(X, 5).replace(b'K\x03K\x04\x86', b'K\xffK\xff\x86'),
              'not fit its bytes'),
    'words': (pickle.dumps({'item_id': IDS, 'embedding': [['x']]*3}), 'expected real numbers'),
    'numbers as words': (pickle.dumps([['1']]*3), 'expected real numbers'),
    'ragged': (pickle.dumps([[1.], [2., 3.], [4.]]), 'inhomogeneous'),
    'ids in a table': (pickle.dumps({'item_id': [['a']]*3, 'embedding': X}), 'is a list'),
    'ids in one string': (pickle.dumps({'item_id': 'abc', 'embedding': X}), 'are a str'),
    'long integer': (pickle.dumps({'item_id': [2**70]*3, 'embedding': X}), 'over 64 bits'),
    'no characters': (pickle.dumps({'item_id': np.array(['ab']*3), 'embedding': X}, 4)
                      .replace('ab'.encode('utf-32-le'), b'\xff'*8), 'are no characters'),
    'other keys': (pickle.dumps({'id': IDS, 'x': X}), "without 'item_id'"),
}

@pytest.mark.parametrize('what', PICKLES)
def test_pickle_is_refused(what, write):
    data, says = PICKLES[what]
    assert says in refusal(write('v.pkl', data), IDS)

def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()

def compressed(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as out:
        for f in zipfile.ZipFile(io.BytesIO(data)).filelist:
            out.writestr(f.filename, zipfile.ZipFile(io.BytesIO(data)).read(f))
    return file.getvalue()

TENSORS = {
    'expanded': (saved(torch.ones(1, 1).expand(3, 10**9)), 'shows a number more than once'),
    'compressed': (compressed(saved(torch.zeros(1000))), 'a compressed archive'),
    'legacy': (saved(torch.ones(3), _use_new_zipfile_serialization=False), 'no zip archive'),
    'complex': (saved(torch.ones(3, 1)*1j), 'it asks for torch.ComplexFloatStorage'),
    'module': (saved(torch.nn.Linear(1, 1)), 'it asks for torch.nn'),
    'dict': (saved({'a': torch.ones(3)}), 'expected one tensor'),
}

@pytest.mark.parametrize('what', TENSORS)
def test_tensor_is_refused(what, write):
    data, says = TENSORS[what]
    assert says in refusal(write('v.pt', data), IDS)

def header(text):
    return b'\x93NUMPY\x01\x00'+len(text).to_bytes(2, 'little')+text.encode()

NPYS = {
    'nested': (header('('*9000+')'*9000), 'not readable'),
    'large': (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000)}\n"),
              'nothing after it'),
    'zip': (b'PK\3\4'+bytes(60), 'not readable'),
}

@pytest.mark.parametrize('what', NPYS)
def test_npy_is_refused(what, write):
    data, says = NPYS[what]
    assert says in refusal(write('v.npy', data), IDS)

@pytest.mark.parametrize('ids', [['x', 'y', 1.], np.arange(3)*1j, np.arange(3).astype('m8[ns]'),
                                 {'a', 'b', 'c'}, 'abc', np.array([['a']]*3), [True]*3,
                                 ['a', 'b', '\ud800'], [None]*3, iter('abc')])
def test_ids_that_are_none(ids, tmp_path):
    np.save(tmp_path/'v.npy', X)
    refusal(tmp_path/'v.npy', ids)

@pytest.mark.parametrize('text', ['{"a": 1, "b": 2, "c": 3}', '"abc"', '["a", ["b"], "c"]',
                                  '["a", "b", "\\ud800"]', '["a", "b", "c\\u0000"]', '['*99_999,
                                  f"[{'9'*5000}]", 'no JSON'], ids=lambda t: t[:20])
def test_ids_of_safetensors(text, tmp_path):
    safetensors.numpy.save_file({'vectors': X}, tmp_path/'v.safetensors', {'item_ids': text})
    refusal(tmp_path/'v.safetensors')

def test_safetensors_of_another_kind(tmp_path):
    path = tmp_path/'v.safetensors'
    for x in (X.astype(np.int32), X > 1, X.astype(np.complex64)):
        safetensors.numpy.save_file({'vectors': x}, path, {'item_ids': json.dumps(IDS)})
        assert 'expected F16, F32 or F64' in refusal(path)
    safetensors.numpy.save_file({'vectors': X}, path)
    assert 'holds no item ids' in refusal(path)

@pytest.mark.parametrize('ids, x, says', [
    (IDS, [[1.], [2.], None], 'row 2 has no value'),
    (IDS, [[1.], [None], [2.]], 'row 1 has a gap'),
    (IDS, [[1.], [2.], [3., 4.]], 'row 2 has a vector of width 2; expected 1'),
    (['a', None, 'c'], [[1.]]*3, 'row 1 has no value'),
    (['a', 'b', 'a'], [[1.]]*3, "first ['a']"),
    (IDS, [[1e300]]*3, 'has inf in column 0'),
    (IDS, [1., 2., 3.], 'expected lists of numbers'),
    (IDS, [['x']]*3, 'expected lists of numbers'),
    (IDS, [[[1.]]]*3, 'expected lists of numbers'),
    ([1.5, 2.5, 3.5], [[1.]]*3, 'the id of row 0 is a float'),
    ([], pa.array([], pa.list_(pa.float32())), 'holds 0 rows')])
def test_parquet_is_refused(ids, x, says, tmp_path):
    ids = ids or pa.array([], pa.string())
    pq.write_table(pa.table({'item_id': ids, 'embedding': x}), tmp_path/'v.parquet')
    assert says in refusal(tmp_path/'v.parquet')

def test_columns_of_parquet(tmp_path):
    columns = [pa.array(IDS), pa.array(list(X)), pa.array(list(X))]
    pq.write_table(pa.Table.from_arrays(columns, ['id', 'embedding', 'embedding']),
                   tmp_path/'v.parquet')
    assert "0 columns are called 'item_id'" in refusal(tmp_path/'v.parquet')
    assert "2 columns are called 'embedding'" in refusal(tmp_path/'v.parquet', id_column='id')

def test_widths_change_between_pieces(tmp_path):
    x = [[1.]]*5000+[[1., 2.]]*5000
    pq.write_table(pa.table({'item_id': range(10_000), 'embedding': x}), tmp_path/'v.parquet')
    assert 'has a vector of width' in refusal(tmp_path/'v.parquet')

@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 10))
@settings(max_examples=20, deadline=None)
def test_shards_are_the_whole(tmp_path_factory, lengths, rows):
    folder = tmp_path_factory.mktemp('shards')
    first = 0
    for n, length in enumerate(lengths):
        ids = np.arange(first, first+length)
        x = pa.array(list(np.stack([ids, -ids], 1)))
        pq.write_table(pa.table({'item_id': ids, 'embedding': x}), folder/f'{n}.parquet',
                       row_group_size=4)
        first += length
    shards = list(vector_shards(folder, rows=rows))
    assert max(len(s) for s in shards) <= rows
    assert [i for s in shards for i in s.item_ids] == [str(n) for n in range(first)]
    x = np.concatenate([s.vectors_NE for s in shards])
    assert (x == np.outer(np.arange(first), [1, -1])).all()

def test_no_shards(tmp_path):
    with pytest.raises(InputError, match='no file ends in .parquet'): list(vector_shards(tmp_path))

PEAK = """
import resource, sys
from semids.errors import InputError
from semids.items import read_item_vectors
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024
# the libraries load what they need
for path in sys.argv[1].split(): read_item_vectors(path, ['a', 'b', 'c'])
before = peak()
for path in sys.argv[2:]:
    try: print(read_item_vectors(path, ['a']))
    except InputError as e: print(e)
print(peak()-before)
"""

@pytest.mark.skipif(sys.platform != 'linux', reason='counts as Linux does')
def test_small_files_take_little_memory(tmp_path, write):
    "A few bytes that ask for gigabytes are refused for what they claim"
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(10**7, np.float32)), 5000)
    pq.write_table(pa.table({'item_id': range(2000), 'embedding': zeros}), tmp_path/'a.parquet')
    wide = pickle.dumps(np.ones(1, 'f4'), 4).replace(b'K\x01\x85', b'J\x00\x00\x00\x40\x85')
    claims = [wide, DOUBLING, PICKLES['memo'][0], b'('*10**6, b']'*10**6,
              b'\x8e'+b'\xff'*7+b'\x0f', b'X\xff\xff\xff\x7f']
    bad = [write(f'{n}.pkl', data) for n, data in enumerate(claims)]
    bad += [write('b.pt', compressed(saved(torch.zeros(5*10**7)))),
            write('c.pt', TENSORS['expanded'][0]), write('d.npy', NPYS['large'][0]),
            tmp_path/'a.parquet']
    good = [write(f'good{s}', VALID[s][0]) for s in VALID if s != '.json']
    done = subprocess.run([sys.executable, '-c', PEAK, ' '.join(map(str, good)), *map(str, bad)],
                          capture_output=True, text=True)
    *lines, peak = done.stdout.splitlines()
    assert len(lines) == len(bad), done.stderr[-2000:]
    for path, line in zip(bad, lines): assert line.startswith(f'{path}: '), line
    assert int(peak) <= 2**26+4*10**6

@pytest.mark.parametrize('data, says', [
    (b'a b\rc d\r', 'line 1: byte 4 is a carriage return'),
    ('a b\n'.encode('utf-16'), 'line 1: a NUL character (byte 4)'),
    ('a b\n'.encode('utf-32-le'), 'line 1: a NUL character (byte 2)'),
    (b'a b\nc \xed\xa0\x80\n', 'line 2: byte 3 is not UTF-8')])
def test_text_is_refused(data, says, write):
    path = write('v.txt', data)
    assert says in refusal(path, function=lambda p: list(read_lines(p)))

@pytest.mark.parametrize('data, says', [
    ('['*100_000, 'not readable as JSON'), (f"[1,\n{'9'*5000}]", 'line 2, column 1'),
    ('["\\ud800"]', 'line 1, column 3'), ('["\\ud83dx\\ude00"]', 'line 1, column 3'),
    ('["a\\u0000"]', 'line 1, column 4'), ('', 'empty'), ('\ufeff', 'empty'),
    ('{"a": }', 'line 1, column 7'),
    ('[1,\n"\0"]', 'line 2: a NUL character (byte 2)')], ids=lambda t: t[:9])
def test_json_is_refused(data, says, write):
    assert says in refusal(write('v.json', data.encode()), function=read_json)

def test_a_folder_is_no_file(tmp_path):
    for name in ('v.json', 'v.pkl', 'v.npy', 'v.pt', 'v.parquet', 'v.safetensors'):
        (tmp_path/name).mkdir()
        function = read_json if name == 'v.json' else read_item_vectors
        assert 'a folder; expected a file' in refusal(tmp_path/name, function=function)

@given(st.lists(st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0\r\n'))))
@settings(max_examples=60, deadline=None)
def test_lines_come_back(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp('lines')/'v.txt'
    lines = [line.removeprefix('\ufeff') for line in lines]
    for mark, end in (('', '\n'), ('\ufeff', '\r\n')):
        path.write_bytes((mark+''.join(line+end for line in lines)).encode())
        assert [line for _, line in read_lines(path)] == lines

TOO_LARGE = """
import resource, sys
from semids.files import write_beside
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with write_beside(sys.argv[1]) as part: part.write_bytes(bytes(10**6))
except OSError as e: print(e)
"""

@pytest.mark.skipif(sys.platform != 'linux', reason='limits of Linux')
def test_a_full_disk_leaves_the_old_file(tmp_path):
    (tmp_path/'f').write_text('old')
    done = subprocess.run([sys.executable, '-c', TOO_LARGE, str(tmp_path/'f')],
                          capture_output=True, text=True)
    assert done.stdout == f"[Errno 27] File too large: '{tmp_path/'f'}'\n", done.stderr[-500:]
    assert (tmp_path/'f').read_text() == 'old'
    assert os.listdir(tmp_path) == ['f']

@pytest.mark.skipif(os.name != 'posix', reason='permissions of POSIX')
def test_permissions_are_the_usual_ones(tmp_path):
    before = os.umask(0o027)
    try:
        with write_beside(tmp_path/'v.safetensors') as part:
            safetensors.numpy.save_file({'vectors': X}, part)
    finally: os.umask(before)
    assert (tmp_path/'v.safetensors').stat().st_mode & 0o777 == 0o640

def test_only_what_dead_processes_left_is_removed(tmp_path):
    with write_beside(tmp_path/'f') as part: name = part.name
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    other = name.replace(f'-{os.getpid()}.', f'-{dead.pid}.')
    parent = name.replace(f'-{os.getpid()}.', f'-{os.getppid()}.')
    for left in (other, parent, other.replace('.f.', '.g.'), '.f.elsewhere-1.part'):
        (tmp_path/left).touch()
    with write_beside(tmp_path/'f') as part: part.touch()
    assert not (tmp_path/other).exists()
    assert len(os.listdir(tmp_path)) == 4
