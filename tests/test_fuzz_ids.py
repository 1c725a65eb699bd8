"Files of semantic IDs and of sequences, broken in any way: read as they are, or refused in a line"
import json
import os

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from semids.conversion import Sequences, make_sequences, read_sequences, write_sequences
from semids.errors import InputError
from semids.interactions import Interactions
from semids.semantic_ids import SemanticIDs, read_any_json, read_by_line, read_ids, write_ids
from semids.splits import split_by_time

# settings of this file alone: a registered profile would hold for every other file too
many = 10_000 if os.environ.get('HYPOTHESIS_PROFILE') == 'long' else 60
fuzz = settings(max_examples=many, deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

IDS = SemanticIDs(['a', 'b c', 'né', 'x9'], torch.tensor([[1, 0], [2, 0], [3, 1], [4, 7]]), 8)
LOG = Interactions.from_flat([*'uuuuvvv'], ['a', 'b c', 'né', 'x9', 'a', 'a', 'né'],
                             [1, 2, 3, 4, 3, 3, 4])
SEQS = st.sampled_from([make_sequences(LOG, IDS),
                        make_sequences(LOG, IDS, split_by_time(LOG, 3, 4))])

def outcome(read, path):
    "What is read, or None if it is refused as it should be"
    try: return read(path)
    except InputError as e:
        assert str(path.name) in str(e), e
        assert len(str(e)) <= 300 and '\n' not in str(e), e
        return None

@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('fuzz')

@st.composite
def mutated(draw, whole):
    "Bytes of a valid file with some of them cut, doubled or replaced"
    data = bytearray(whole)
    pieces = st.one_of(st.binary(max_size=8), st.sampled_from([
        b'"', b'{', b'}', b'[', b'],\n', b'\\ud800', b'\\u0000', '٣'.encode(), b'9'*5000,
        b'['*5000, b'<a_1>', b'-1', b'\n', b'1e9', b'null', b'\xff', b'\x00']))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at:at+draw(st.integers(0, 12))] = draw(pieces)
    return bytes(data)

def as_bytes(write, thing, name, folder):
    write(thing, folder/name)
    return (folder/name).read_bytes()

def check_ids(folder, data):
    path = folder/'ids.json'
    path.write_bytes(data)
    ids = outcome(read_ids, path)
    if ids is None: return
    # the words of the standard's own reader
    expected = json.loads(data)
    assert {i: ids.spell(n) for n, i in enumerate(ids.item_ids.tolist())} == expected
    if read_by_line(path) is not None:
        assert read_any_json(path)[1].equal(read_by_line(path)[1].long())

@fuzz
@given(st.data())
def test_semantic_ids(folder, data):
    check_ids(folder, data.draw(mutated(as_bytes(write_ids, IDS, 'valid.json', folder))))

@fuzz
@given(st.binary(max_size=200))
def test_semantic_ids_of_random_bytes(folder, data): check_ids(folder, data)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(['<a_1>', '<b_2>', '<a_01>', '<a_1048576>']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner,
                                                                max_size=3), max_leaves=8)

@fuzz
@given(json_values)
def test_semantic_ids_of_any_json(folder, value):
    check_ids(folder, json.dumps(value).encode())

def check_sequences(folder, data):
    path = folder/'sequences.safetensors'
    path.write_bytes(data)
    seqs = outcome(read_sequences, path)
    if seqs is None: return
    assert isinstance(seqs, Sequences)
    N = len(seqs.ids)
    for part in (seqs.split.train, seqs.split.valid, seqs.split.test):
        rows = part.sequences(torch.arange(len(part)))
        assert rows.max() < N and rows.min() >= -1
        assert (rows[:, -1] >= 0).all()
        assert seqs.codes(rows).max() < seqs.ids.K
    # what is read can be written, and is the same again
    write_sequences(seqs, folder/'again.safetensors')
    again = read_sequences(folder/'again.safetensors')
    assert again.ids.codes_NM.equal(seqs.ids.codes_NM)
    assert np.array_equal(again.split.item_ids, seqs.split.item_ids)
    assert again.split.targets_3U.equal(seqs.split.targets_3U)

@fuzz
@given(st.data())
def test_sequences(folder, data):
    whole = as_bytes(write_sequences, data.draw(SEQS), 'valid.safetensors', folder)
    check_sequences(folder, data.draw(mutated(whole)))

@fuzz
@given(st.binary(max_size=200))
def test_sequences_of_random_bytes(folder, data): check_sequences(folder, data)

numbers = st.integers(-2**63, 2**63-1) | st.integers(-2, 9)
dtypes = st.sampled_from([torch.int64, torch.int32, torch.int8, torch.uint8, torch.bool,
                          torch.float32, torch.complex64, torch.uint16, torch.bfloat16])

@fuzz
@given(st.data())
def test_sequences_of_other_tensors(folder, data):
    "A well-formed file whose numbers, types, shapes or header are others"
    write_sequences(data.draw(SEQS), folder/'valid.safetensors')
    tensors = safetensors.torch.load_file(folder/'valid.safetensors')
    name = data.draw(st.sampled_from(sorted(tensors)))
    how = data.draw(st.sampled_from(['number', 'type', 'shape', 'none', 'more', 'header']))
    header = {'K': '8'}
    if how == 'number':
        t = tensors[name].long()
        t.view(-1)[data.draw(st.integers(0, t.numel()-1))] = data.draw(numbers)
        tensors[name] = t if name != 'item_ids' else t.to(torch.uint8)
    if how == 'type': tensors[name] = tensors[name].to(data.draw(dtypes))
    if how == 'shape': tensors[name] = tensors[name][data.draw(st.integers(1, 3)):].contiguous()
    if how == 'none': del tensors[name]
    if how == 'more': tensors['more'] = torch.zeros(1)
    if how == 'header': header = {'K': data.draw(st.text(max_size=5) | st.just('9'*5000))}
    safetensors.torch.save_file(tensors, folder/'other.safetensors', header)
    check_sequences(folder, (folder/'other.safetensors').read_bytes())
