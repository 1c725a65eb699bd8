"What a user can get wrong: exit code 2, one line that names the place, and nothing half-written"
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from semids.data import ItemVectors, leave_one_out, read_interactions, read_item_vectors
from semids.pipeline import Recommender, Run, read_settings, run_command, run_pipeline
from semids.semantic_ids import read_ids
from semids.training import load_model
from semids.tiger import TIGER

USERS = {f'u{u}': [f'i{(u+t) % 12}' for t in range(5)] for u in range(30)}

@pytest.fixture
def shop(tmp_path):
    "A small data folder and settings that run in seconds; edit either and run"
    data = tmp_path/'data'
    data.mkdir()
    (data/'all.txt').write_text(''.join(f"{u} {' '.join(items)}\n" for u, items in USERS.items()))
    ids = sorted({i for items in USERS.values() for i in items})
    (data/'vectors.pkl').write_bytes(pickle.dumps({'item_id': ids, 'embedding': np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)}))
    settings = read_settings('toy')
    settings |= dict(name='small', data=dict(interactions='all.txt', times='', vectors='vectors.pkl', shuffle_ties=False))
    settings['sasrec'] |= dict(epochs=1, d=8)
    settings['rqvae'] |= dict(M=2, K=8, C=4, hidden=[8], epochs=4, checks=2)
    settings['tiger'] |= dict(steps=4, every=2, d=16, heads=2, d_head=8, d_ff=16, layers=1)
    return tmp_path, data, settings

def run(shop, steps=None):
    folder, data, settings = shop
    (folder/'settings.json').write_text(json.dumps(settings))
    from semids.pipeline import STEPS
    return run_command('test', steps or STEPS, ['--params', str(folder/'settings.json'), '--data', str(data), '--out', str(folder/'out'), '--device', 'cpu'])

def leftovers(folder): return [p for p in folder.rglob('*.part')]

def test_it_runs_when_nothing_is_wrong(shop):
    assert run(shop) == 0
    r = Recommender.load(shop[0]/'out/checkpoints/small')
    assert {i for i, _ in r.recommend(['i1', 'i2'], k=3)} <= {f'i{n}' for n in range(12)} - {'i1', 'i2'}
    assert not leftovers(shop[0])

def vectors(data, ids, x): (data/'vectors.pkl').write_bytes(pickle.dumps({'item_id': ids, 'embedding': x}))
IDS = sorted({i for items in USERS.values() for i in items})

BAD = {
    'no items': (lambda f, d, s: (d/'all.txt').write_text('u1 a b c\nu2\n'), r"all.txt, line 2: user 'u2' has no items"),
    'empty line': (lambda f, d, s: (d/'all.txt').write_text('u1 a b c\n\nu2 a b c\n'), 'all.txt, line 2: empty line'),
    'encoding': (lambda f, d, s: (d/'all.txt').write_bytes(b'u1 a b c\nu2 \xff b c\n'), 'all.txt, line 2: byte 4 is not UTF-8'),
    'same user twice': (lambda f, d, s: (d/'all.txt').write_text('u1 a b c\nu1 a b c\n'), r"all.txt, line 2: user 'u1' was already seen"),
    'two actions': (lambda f, d, s: (d/'all.txt').write_text((d/'all.txt').read_text() + 'short i1 i2\n'), r"user 'short' .number 31 in the file. has 2 actions"),
    'no interactions': (lambda f, d, s: (d/'all.txt').unlink(), 'all.txt: no such file'),
    'no vectors': (lambda f, d, s: (d/'vectors.pkl').unlink(), 'vectors.pkl: no such file'),
    'item without vector': (lambda f, d, s: vectors(d, IDS[1:], np.ones((11, 8))), r"1 items of .*all.txt are not in .*vectors.pkl .first: \['i0'\]"),
    'vector without item': (lambda f, d, s: vectors(d, IDS + ['ghost'], np.ones((13, 8))), r"1 items of .*vectors.pkl are not in .*all.txt .first: \['ghost'\]"),
    'same vector id twice': (lambda f, d, s: vectors(d, IDS[:-1] + IDS[:1], np.ones((12, 8))), 'vectors.pkl.*1 item ids occur more than once'),
    'NaN': (lambda f, d, s: vectors(d, IDS, np.where(np.arange(96).reshape(12, 8) == 20, np.nan, 1)), r"vectors.pkl.*item 'i10' .row 2. has nan in column 4"),
    'infinite': (lambda f, d, s: vectors(d, IDS, np.full((12, 8), np.inf)), 'has inf in column 0'),
    'not a pickle': (lambda f, d, s: (d/'vectors.pkl').write_bytes(b'hello'), 'vectors.pkl: not readable as item vectors'),
    'unknown setting': (lambda f, d, s: s['tiger'].update(layer=3), r"unknown setting 'tiger.layer'; did you mean 'tiger.layers'"),
    'missing setting': (lambda f, d, s: s['rqvae'].pop('K'), r"setting 'rqvae.K' is missing"),
    'mistyped setting': (lambda f, d, s: s['sasrec'].update(lr='fast'), r"setting 'sasrec.lr' is 'fast'; expected float"),
    'unknown loss': (lambda f, d, s: s['sasrec'].update(loss='mse'), "loss 'mse' is not one of"),
    'K too large': (lambda f, d, s: s['rqvae'].update(K=64), '12 items cannot fill a codebook of K=64'),
    'unequal widths': (lambda f, d, s: s['rqvae'].update(alignment='raw'), 'the latent space has C=4, the embeddings D=8'),
}

@pytest.mark.parametrize('what', BAD)
def test_bad_input(shop, what, capsys):
    import re
    spoil, says = BAD[what]
    spoil(*shop)
    assert run(shop) == 2
    err = capsys.readouterr().err
    line = [x for x in err.splitlines() if x.startswith('error: ')]
    assert len(line) == 1 and re.search(says, line[0]), err[-500:]
    assert not leftovers(shop[0])
    assert not list((shop[0]/'out').rglob('metrics.json'))

def test_not_json(shop, capsys):
    (shop[0]/'broken.json').write_text('{"name": "x",\n "seed": }')
    assert run_command('test', [], ['--params', str(shop[0]/'broken.json')]) == 2
    assert 'broken.json, line 2, column 10: not JSON' in capsys.readouterr().err

def test_step_without_its_input(shop, capsys):
    assert run(shop, ['rqvae']) == 2
    assert "sasrec_embeddings.safetensors: no such file; step 'sasrec' writes it (semids_sasrec)" in capsys.readouterr().err

def test_checkpoints_of_another_shape_or_other_items(shop):
    assert run(shop) == 0
    folder = shop[0]/'out/checkpoints/small'
    ids = json.loads((folder/'semantic_ids.json').read_text())
    with pytest.raises(ValueError, match='with K=1 codewords'): read_ids(folder/'semantic_ids.json', K=1)
    config = json.loads((folder/'tiger/config.json').read_text())
    (folder/'tiger/config.json').write_text(json.dumps(config | dict(model=config['model'] | dict(d=32))))
    with pytest.raises(ValueError, match='has shape .*; expected'): load_model(TIGER, folder/'tiger')
    (folder/'tiger/config.json').write_text(json.dumps(config))
    (folder/'semantic_ids.json').write_text(json.dumps({f'other-{i}': v for i, v in ids.items()}))
    with pytest.raises(ValueError, match='trained on other semantic IDs'): Recommender.load(folder)
    (folder/'tiger/model.safetensors').write_bytes(b'junk')
    with pytest.raises(ValueError, match='not readable as safetensors'): load_model(TIGER, folder/'tiger')

def test_pickle_runs_nothing(tmp_path):
    class Trap:
        def __reduce__(self): return Path.touch, (tmp_path/'touched',)
    (tmp_path/'v.pkl').write_bytes(pickle.dumps({'item_id': ['a'], 'embedding': Trap()}))
    with pytest.raises(ValueError, match='only NumPy arrays'): read_item_vectors(tmp_path/'v.pkl')
    assert not (tmp_path/'touched').exists()

def test_interrupted_write_leaves_the_old_file(tmp_path):
    from semids.data import write_beside
    (tmp_path/'f').write_text('old')
    with pytest.raises(RuntimeError):
        with write_beside(tmp_path/'f') as part:
            part.write_text('half')
            raise RuntimeError
    assert (tmp_path/'f').read_text() == 'old' and [p.name for p in tmp_path.iterdir()] == ['f']
