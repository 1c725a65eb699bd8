"To and from other people's software: real peers, and files that lie"
import json
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from semids.beam_search import Trie
from semids.checkpoints import read_tensors, write_tensors
from semids.conversion import make_sequences
from semids.errors import InputError
from semids.evaluation import Markov, evaluate
from semids.exchange import (
    read_dataset, read_items, read_run, read_trie, run_of, trie_arrays, unique_ids, write_items,
    write_trie)
from semids.hugging_face import HFRecommender, load_hf, save_hf, to_hf
from semids.interactions import read_interactions
from semids.semantic_ids import SemanticIDs
from semids.tiger import TIGER, TIGER_TRAINING, TIGERRecommender, TIGERSettings, train_tiger
from semids.toy_shop import toy_shop

root = Path(__file__).parent.parent
beauty = Path(os.environ.get('SEMIDS_BEAUTY', root/'data/Beauty'))

def some_ids(N=150, M=3, K=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(K, (N, M), generator=generator)
    return unique_ids([f'item {n}' for n in range(N)], codes, K)

def some_model(ids, causal=False):
    torch.manual_seed(0)
    small = dict(d=32, heads=2, d_head=16, d_ff=64, layers=2, max_len=5, causal=causal)
    return TIGER(ids.M, ids.K, TIGERSettings().update(small)).eval()

@pytest.fixture
def saved(tmp_path):
    pytest.importorskip('transformers')
    ids = some_ids()
    save_hf(some_model(ids), ids, tmp_path)
    return tmp_path

# ---- transformers

@pytest.mark.parametrize('causal', [False, True])
@pytest.mark.parametrize('N', [12, 150])
@pytest.mark.filterwarnings('ignore:the encoder of this TIGER')
def test_generate_gives_the_same_lists(N, causal):
    "Longer and shorter histories than are read, an empty one, more beams than items, few allowed"
    pytest.importorskip('transformers')
    ids = some_ids(N)
    model = some_model(ids, causal)
    generator = torch.Generator().manual_seed(1)
    history_BT = torch.randint(N, (20, 9), generator=generator)
    for b, length in enumerate(torch.randint(10, (20,), generator=generator).tolist()):
        history_BT[b, :9-length] = -1
    history_BT[0] = -1
    allowed_N = torch.rand(N, generator=generator) < .3
    ours = TIGERRecommender(model, ids.codes_NM, beams=30)
    theirs = HFRecommender(to_hf(model, beams=30), ids.codes_NM)
    for how in ({}, dict(mask_seen=False), dict(allowed_N=allowed_N)):
        expected_Bk, logp_Bk = ours(history_BT, 10, **how)
        found_Bk, score_Bk = theirs(history_BT, 10, **how)
        assert torch.equal(found_Bk, expected_Bk)
        torch.testing.assert_close(score_Bk, logp_Bk, atol=1e-4, rtol=0)

def test_a_causal_model_is_not_exported_silently(tmp_path):
    pytest.importorskip('transformers')
    ids = some_ids()
    with pytest.warns(UserWarning, match='causal_encoding'):
        save_hf(some_model(ids, causal=True), ids, tmp_path)
    assert 'causal_encoding' in (tmp_path/'README.md').read_text()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        save_hf(some_model(ids), ids, tmp_path)

@pytest.mark.parametrize('change', [
    dict(sizes=dict(M=4, K=10**12)), dict(sizes=dict(M=4)), dict(sizes=[4, 12]), dict(settings={}),
    dict(settings=dict(d=0)), dict(settings=dict(colour=3)), dict(settings=dict(d=64)), dict(ids=5),
    dict(sizes=dict(M=True, K=12))])
def test_configurations_that_lie(saved, change):
    config = json.loads((saved/'config.json').read_text())
    (saved/'config.json').write_text(json.dumps(config | change))
    with pytest.raises(InputError): load_hf(saved)

def test_nothing_in_a_folder_is_executed(saved):
    "Pickled weights, and code that the configuration names, are not looked at"
    class Trap:
        def __reduce__(self): return os.mkdir, (str(saved/'sprung'),)
    weights = (saved/'model.safetensors').read_bytes()
    (saved/'pytorch_model.bin').write_bytes(pickle.dumps(Trap()))
    config = json.loads((saved/'config.json').read_text())
    more = dict(auto_map=dict(AutoModelForSeq2SeqLM='trap.Trap'), model_type='trap')
    (saved/'config.json').write_text(json.dumps(config | more))
    (saved/'trap.py').write_text(f'import os; os.mkdir({str(saved/"sprung")!r})')
    load_hf(saved)
    (saved/'model.safetensors').unlink()
    with pytest.raises(InputError, match='no such file'): load_hf(saved)
    (saved/'model.safetensors').write_bytes(weights[:len(weights)//2])
    with pytest.raises(InputError): load_hf(saved)
    assert not (saved/'sprung').exists()

# ---- the trie

def test_arrays_are_those_of_static():
    "The builder of its authors gives the same arrays, and its decoder writes items that exist"
    csr_utils = pytest.importorskip('static_decoding.csr_utils')
    decoding = pytest.importorskip('static_decoding.decoding_pt')
    ids = some_ids(M=4)
    M, V = ids.M, 1+ids.M*ids.K
    tokens_NM = ids.codes_NM + torch.arange(M)*ids.K + 1
    in_order = tokens_NM[Trie(ids.codes_NM).item].numpy()
    names = ['packed_csr', 'indptr', 'layer_max_branches', 'start_mask', 'dense_mask',
             'dense_states']
    for dense in range(1, M):
        found = trie_arrays(ids, dense=dense)
        theirs = csr_utils.build_static_index(in_order, V, dense)
        for name, expected in zip(names, theirs):
            assert np.array_equal(found[name].numpy(), expected), name
    a = trie_arrays(ids, dense=2)
    written = decoding.sparse_transition_torch(
        decoding.RandomModel(V, 'cpu'), 3, 8, 8, 0, M, V, tuple(a['layer_max_branches'].tolist()),
        a['packed_csr'], a['indptr'], a['start_mask'], a['dense_mask'], a['dense_states'], 'cpu', 2)
    real = set(map(tuple, in_order.tolist()))
    assert {tuple(row) for row in written.flatten(0, 1).tolist()} <= real

def test_tries_that_lie(tmp_path):
    "Any number changed anywhere, and a ring that never ends: refused in one line"
    ids = some_ids()
    write_trie(ids, tmp_path/'trie.safetensors', dense=2)
    tensors, about = read_tensors(tmp_path/'trie.safetensors')
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = {name: t.clone() for name, t in tensors.items()}
        flat = changed[rng.choice(sorted(changed))].view(-1)
        at = rng.integers(len(flat))
        value = int(rng.choice([-1, 0, 1, 7, 2**31-1]))
        if flat.dtype == torch.bool: value = not flat[at]
        if flat[at] == value: continue
        flat[at] = value
        write_tensors(changed, tmp_path/'other.safetensors', about)
        with pytest.raises(InputError): read_trie(tmp_path/'other.safetensors')
        refused += 1
    assert refused > 200
    ring = tensors | dict(packed_csr=tensors['packed_csr'].clone())
    ring['packed_csr'][:, 1] = int(tensors['packed_csr'][0, 0])
    for other in (ring, tensors | dict(dense_mask=torch.zeros(1, 1, 1, dtype=torch.bool)),
                  tensors | dict(tokens_MK=tensors['tokens_MK'].float())):
        write_tensors(other, tmp_path/'other.safetensors', about)
        with pytest.raises(InputError): read_trie(tmp_path/'other.safetensors')

# ---- tables and data sets

def table(tmp_path, **columns):
    path = tmp_path/'table.parquet'
    pq.write_table(pa.table(columns), path)
    return path

def test_items_of_others(tmp_path):
    "Integers of any width, ids that are numbers, items that share codes"
    path = table(tmp_path, item_id=[10, 9, 8], codes=[[1, 0], [1, 0], [2, 3]])
    ids = read_items(path)
    assert ids.item_ids.tolist() == ['8', '9', '10']
    assert ids.codes_NM.tolist() == [[2, 3, 0], [1, 0, 0], [1, 0, 1]]
    for codes in ([[1.5, 0]], [[-1, 0]], [[1e30, 0]], [[2**24, 0]], [[]], [None], ['ab']):
        with pytest.raises(InputError): read_items(table(tmp_path, item_id=['a'], codes=codes))
    twice = table(tmp_path, item_id=['a', 'a'], codes=[[1], [2]])
    with pytest.raises(InputError): read_items(twice)
    # more items share their codes than a small K can tell apart
    many = table(tmp_path, item_id=range(9), codes=[[0]]*9)
    assert read_items(many).K == 9
    with pytest.raises(InputError, match='share the codes'): read_items(many, K=4)

def test_a_lying_number_of_codewords(tmp_path):
    ids = some_ids()
    write_items(ids, tmp_path/'items.parquet')
    found = pq.read_table(tmp_path/'items.parquet')
    for said in ('3', '-1', 'many', '9'*30):
        pq.write_table(found.replace_schema_metadata({'K': said}), tmp_path/'other.parquet')
        if said == '3':
            with pytest.raises(InputError): read_items(tmp_path/'other.parquet')
        else: assert read_items(tmp_path/'other.parquet').K == int(ids.codes_NM.max())+1

@pytest.mark.parametrize('array', [
    np.zeros(3), np.array(1.), np.array([['a']]), np.array([{}, []], dtype=object)])
def test_vectors_that_are_none(tmp_path, array):
    (tmp_path/'Shop.inter.json').write_text('{"u": [0, 1, 1]}')
    np.save(tmp_path/'Shop.emb-llama-td.npy', array, allow_pickle=True)
    with pytest.raises(InputError): read_dataset(tmp_path/'Shop')

def test_a_header_that_announces_more_than_there_is(tmp_path):
    (tmp_path/'Shop.inter.json').write_text('{"u": [0, 1, 1]}')
    with open(tmp_path/'Shop.emb.npy', 'wb') as f:
        np.lib.format.write_array_header_1_0(
            f, dict(descr='<f4', fortran_order=False, shape=(10**12, 0)))
    with pytest.raises(InputError): read_dataset(tmp_path/'Shop')

# ---- runs

def test_ranx_counts_the_same(tmp_path):
    "Recall and NDCG of ranx, lists that end early and empty ones included"
    ranx = pytest.importorskip('ranx')
    shop = toy_shop()
    ids = unique_ids(shop.interactions.item_ids, torch.arange(240).view(-1, 1))
    seqs = make_sequences(shop.interactions, ids)
    found = evaluate(Markov(seqs.split), seqs.split.test, seqs.split.count_N)
    run, qrels = run_of(found, shop.interactions.user_ids, seqs.split.item_ids)
    assert min(map(len, run.values())) == 0
    names = ['recall@5', 'recall@10', 'ndcg@10', 'ndcg@20']
    counted = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), names)
    ours = found.metrics()
    for name in names: assert abs(counted[name]-ours[name]) < 1e-6, name

def test_ranked_tables(tmp_path):
    "The table of the pipeline has both protocols; others are refused"
    columns = dict(user=['u', 'u'], target=['b', 'b'], items=[['a', 'b'], ['b']],
                   seen_masked=[True, False])
    path = table(tmp_path, **columns)
    assert read_run(path) == ({'u': {'a': 2, 'b': 1}}, {'u': {'b': 1}})
    assert read_run(path, mask_seen=False) == ({'u': {'b': 1}}, {'u': {'b': 1}})
    for change in (dict(items=['a', 'b']), dict(items=[None, ['a']]), dict(user=[None, 'u']),
                   dict(items=[['a', None], ['b']]), dict(seen_masked=['yes', 'no']),
                   dict(seen_masked=[False, False]), dict(target=[1.5, 2.])):
        with pytest.raises(InputError): read_run(table(tmp_path, **columns | change))
    path.write_bytes(b'PAR1'*9)
    with pytest.raises(InputError): read_run(path)

# ---- published IDs

@pytest.mark.skipif(not (beauty/'reference/sid_letter_4x256.npy').exists(),
                    reason=f"no published IDs of LETTER in {beauty}/reference (set SEMIDS_BEAUTY)")
def test_a_tiger_on_letters_ids():
    "24 of the published IDs are not unique; with a code more TIGER learns on them and writes them"
    codes_NM = np.load(beauty/'reference/sid_letter_4x256.npy')
    ids = unique_ids(range(1, len(codes_NM)+1), codes_NM)
    assert isinstance(ids, SemanticIDs) and (ids.M, ids.K) == (5, 256)
    assert torch.equal(ids.codes_NM[:, :4], torch.from_numpy(codes_NM).long())
    seqs = make_sequences(read_interactions(beauty/'all_data.txt'), ids)
    small = TIGERSettings(d=32, heads=2, d_head=16, d_ff=64, layers=1, max_len=5, causal=True)
    training = TIGER_TRAINING.update(
        dict(steps=60, batch_size=64, lr=3e-3, warmup=10, every=30, valid_users=50))
    model, found = train_tiger(seqs, small, training, cpu=True)
    losses = [entry['loss'] for entry in found['train']]
    assert losses[-1] < losses[0]
    items_Bk, _ = TIGERRecommender(model, seqs.ids.codes_NM)(
        seqs.split.test.histories(torch.arange(20)), 10)
    assert (items_Bk >= 0).all()
