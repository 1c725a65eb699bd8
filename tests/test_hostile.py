"What a user can get wrong: exit code 2, one line that names the place, and nothing half-written"
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from semids.files import write_beside
from semids.items import read_item_vectors
from semids.pipeline import STEPS, RunSettings, read_settings, run_command
from semids.recommender import Recommender
from semids.semantic_ids import read_ids
from semids.tiger import TIGER
from semids.training import load_model

USERS = {f'u{u}': [f'i{(u+t) % 12}' for t in range(5)] for u in range(30)}
IDS = sorted({i for items in USERS.values() for i in items})
SMALL = {
    'name': 'small',
    'data': {'interactions': 'all.txt', 'vectors': 'vectors.pkl'},
    'sasrec': {'model': {'d': 8, 'max_len': 20},
               'training': {'steps': 1, 'every': 1, 'batch_size': 128}},
    'rqvae': {'model': {'M': 2, 'K': 8, 'C': 4, 'hidden': [8]},
              'training': {'steps': 4, 'every': 2, 'batch_size': 240}},
    'tiger': {'model': {'d': 16, 'heads': 2, 'd_head': 8, 'd_ff': 16, 'layers': 1, 'max_len': 4},
              'training': {'steps': 4, 'every': 2, 'warmup': 0}},
    'rq_transformer': {'model': {'d': 16, 'heads': 2, 'd_ff': 16, 'max_len': 4, 'content': 4},
                       'training': {'steps': 4, 'every': 2, 'warmup': 0}}}

def vectors(data, ids, x):
    (data/'vectors.pkl').write_bytes(pickle.dumps({'item_id': ids, 'embedding': x}))

@pytest.fixture
def shop(tmp_path):
    "A small data folder and settings that run in seconds; edit either and run"
    data = tmp_path/'data'
    data.mkdir()
    lines = [f"{u} {' '.join(items)}\n" for u, items in USERS.items()]
    (data/'all.txt').write_text(''.join(lines))
    x = np.random.default_rng(0).normal(size=(len(IDS), 8)).astype(np.float32)
    vectors(data, IDS, x)
    return tmp_path, data, json.loads(json.dumps(SMALL))

def run(shop, steps=tuple(STEPS), *options):
    folder, data, settings = shop
    (folder/'settings.json').write_text(json.dumps(settings))
    where = ['--params', folder/'settings.json', '--data', data, '--out', folder/'out']
    return run_command('test', steps, [*map(str, where), '--device', 'cpu', *options])

def leftovers(folder): return [p for p in folder.rglob('*.part')]

def test_it_runs_when_nothing_is_wrong(shop):
    assert run(shop) == 0
    r = Recommender.load(shop[0]/'out/checkpoints/small')
    items = {i for i, _ in r.recommend(['i1', 'i2'], k=3)}
    assert items <= {f'i{n}' for n in range(12)} - {'i1', 'i2'}
    assert not leftovers(shop[0])

def text(content): return lambda f, d, s: (d/'all.txt').write_text(content)
def raw(content): return lambda f, d, s: (d/'all.txt').write_bytes(content)
def more(content): return lambda f, d, s: (d/'all.txt').open('a').write(content)
def without(name): return lambda f, d, s: (d/name).unlink()
def table(ids, x): return lambda f, d, s: vectors(d, ids, x)
def setting(value, *path):
    "Change one setting of the file"
    def change(f, d, s):
        for name in path[:-1]: s = s.setdefault(name, {})
        s[path[-1]] = value
    return change

NAN = np.where(np.arange(96).reshape(12, 8) == 20, np.nan, 1)
BAD = {
    'no items': (text('u1 a b c\nu2\n'), "all.txt, line 2: user 'u2' has no items"),
    'empty line': (text('u1 a b c\n\nu2 a b c\n'), 'all.txt, line 2: empty line'),
    'encoding': (raw(b'u1 a b c\nu2 \xff b c\n'), 'all.txt, line 2: byte 4 is not UTF-8'),
    'same user twice': (text('u1 a b c\nu1 a b c\n'),
                        "all.txt, line 2: user 'u1' was already seen"),
    'no interactions': (without('all.txt'), 'all.txt: no such file'),
    'no vectors': (without('vectors.pkl'), 'vectors.pkl: no such file'),
    'item without vector': (table(IDS[1:], np.ones((11, 8))),
        r"all.txt: 1\d of 150 actions are on 1 items without content, first \['i0'\]; .*"
        r"data.unmatched='drop'"),
    'vectors of another catalogue': (table([f'x{n}' for n in range(12)], np.ones((12, 8))),
        '150 of 150 actions are on 12 items without content'),
    'nothing left': (setting(100, 'data', 'min_item'), 'nothing is left of 150 actions'),
    'same vector id twice': (table(IDS[:-1] + IDS[:1], np.ones((12, 8))),
        'vectors.pkl.*1 item ids occur more than once'),
    'NaN': (table(IDS, NAN), r"vectors.pkl.*item 'i10' .row 2. has nan in column 4"),
    'infinite': (table(IDS, np.full((12, 8), np.inf)), 'has inf in column 0'),
    'not a pickle': (lambda f, d, s: (d/'vectors.pkl').write_bytes(b'hello'),
        'vectors.pkl: not readable as item vectors'),
    'unknown setting': (setting(3, 'tiger', 'model', 'layer'),
        "unknown setting 'tiger.model.layer'; did you mean 'tiger.model.layers'"),
    'setting in the wrong group': (setting(3, 'tiger', 'layers'),
        "unknown setting 'tiger.layers'; expected one of model, training"),
    'group that is no object': (setting(3, 'tiger'), "'tiger' is 3; expected an object"),
    'mistyped setting': (setting('fast', 'sasrec', 'training', 'lr'),
        "setting sasrec.training.lr is 'fast'; expected float"),
    'unknown loss': (setting('mse', 'sasrec', 'model', 'loss'),
        "setting sasrec.model.loss is 'mse'; expected one of 'softmax', 'sampled', 'bce'"),
    'unknown schedule': (setting('linear', 'tiger', 'training', 'schedule'),
        "setting tiger.training.schedule is 'linear'; expected one of"),
    'no heads': (setting(0, 'tiger', 'model', 'heads'),
        'setting tiger.model.heads is 0; expected at least 1'),
    'no steps': (setting(-3, 'sasrec', 'training', 'steps'),
        'setting sasrec.training.steps is -3; expected at least 1'),
    'too much dropout': (setting(1.5, 'tiger', 'model', 'dropout'),
        'setting tiger.model.dropout is 1.5; expected'),
    'NaN as a setting': (setting(float('nan'), 'rqvae', 'model', 'beta'),
        'setting rqvae.model.beta is nan; expected'),
    'width of no layer': (setting(['a'], 'rqvae', 'model', 'hidden'),
        r"setting rqvae.model.hidden is \('a',\); expected"),
    'heads that do not divide': (setting(3, 'sasrec', 'model', 'heads'),
        'setting sasrec.model.d.*8.*heads.*3'),
    'toy shop and a file': (setting('toy', 'data', 'interactions'),
        "interactions is 'toy', and vectors is set"),
    'folder elsewhere': (setting('../up', 'name'),
        "setting name is '../up'; expected a plain folder name"),
    'K too large': (setting(64, 'rqvae', 'model', 'K'),
        'K=64 codewords per level, and the catalogue has 12 items'),
    'unequal widths': (setting('raw', 'rqvae', 'model', 'alignment'),
        'the latent space has C=4, the embeddings D=8'),
}

@pytest.mark.parametrize('what', BAD)
def test_bad_input(shop, what, capsys):
    spoil, says = BAD[what]
    spoil(*shop)
    assert run(shop) == 2
    err = capsys.readouterr().err
    line = [x for x in err.splitlines() if x.startswith('error: ')]
    assert len(line) == 1 and re.search(says, line[0]), err[-500:]
    assert not leftovers(shop[0])
    assert not list((shop[0]/'out').rglob('metrics.json'))

def test_what_is_left_out_is_counted(shop):
    "A user with two actions and an item without one are no mistake; the report has them"
    folder, data, _ = shop
    more('short i1 i2\n')(*shop)
    table(IDS + ['ghost'], np.random.default_rng(0).normal(size=(13, 8)))(*shop)
    assert run(shop) == 0
    left = json.loads((folder/'out/checkpoints/small/metrics.json').read_text())['protocol']['left']
    assert [(row['users'], row['items'], row['actions']) for row in left] == [
        (31, 12, 152), (30, 12, 150), (30, 13, 150)]
    r = Recommender.load(folder/'out/checkpoints/small')
    assert 'ghost' in [item for item, _ in r.recommend(['i1'], k=12)]

OPTIONS = {
    'no value': (['--set', 'seed'], '--set seed: expected NAME=VALUE'),
    'unknown': (['--set', 'tiger.step=3'], "unknown setting 'tiger.step'; expected one of"),
    'value': (['--set', 'tiger.model.heads=0'], 'setting tiger.model.heads is 0; expected'),
    'seed': (['--seed', '-1'], 'setting seed is -1; expected at least 0'),
    'name': (['--name', 'a/b'], "setting name is 'a/b'; expected a plain folder name"),
    'device': (['--device', 'tpu'], "device 'tpu' is not one of 'auto', 'cpu'"),
}

@pytest.mark.parametrize('what', OPTIONS)
def test_bad_option(shop, what, capsys):
    options, says = OPTIONS[what]
    assert run(shop, ['sasrec'], *options) == 2
    assert says in capsys.readouterr().err
    assert not (shop[0]/'out').exists()

def test_a_table_without_a_known_time(shop, capsys):
    "Not read in the order of its lines: the likely column is named, as the setting that names it"
    folder, data, settings = shop
    lines = ['user,item,timestamp']
    for user, items in USERS.items(): lines += [f'{user},{i},{-t}' for t, i in enumerate(items)]
    (data/'all.csv').write_text('\n'.join(lines)+'\n')
    settings['data']['interactions'] = 'all.csv'
    assert run(shop, ['sasrec']) == 2
    err = capsys.readouterr().err
    assert "no column 'time'" in err and "data.time='timestamp', or data.time empty" in err
    assert run(shop, ['sasrec', 'evaluate'], '--set', 'data.time=timestamp') == 0
    assert "order by column 'timestamp'" in capsys.readouterr().out

def test_missing_settings_are_the_defaults(tmp_path):
    (tmp_path/'empty.json').write_text('{}')
    assert read_settings(tmp_path/'empty.json') == RunSettings()

def test_params_are_needed(capsys):
    assert run_command('test', [], []) == 2
    assert '--params is missing; expected a file or one of beauty' in capsys.readouterr().err

def test_settings_can_be_listed(shop, capsys):
    assert run(shop, ['sasrec'], '--show-settings', '--set', 'tiger.training.steps=2000') == 0
    shown = capsys.readouterr().out
    default = RunSettings().tiger.training.steps
    assert re.search(rf'^tiger.training.steps +2000 +{default} +optimizer steps', shown, re.M)
    assert run(shop, ['sasrec'], '--presets') == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ['beauty', 'beauty_cpu', 'toy']
    assert not (shop[0]/'out').exists()

def test_our_own_fault_shows_where_it_is(shop, monkeypatch):
    "A ValueError that NumPy raises is no message for the user"
    monkeypatch.setattr('semids.pipeline.leave_one_out', lambda ixs: np.zeros(-1))
    with pytest.raises(ValueError, match='negative dimensions'): run(shop)

def test_not_json(shop, capsys):
    (shop[0]/'broken.json').write_text('{"name": "x",\n "seed": }')
    assert run_command('test', [], ['--params', str(shop[0]/'broken.json')]) == 2
    assert 'broken.json, line 2, column 10: not JSON' in capsys.readouterr().err

def test_step_without_its_input(shop, capsys):
    assert run(shop, ['rqvae']) == 2
    says = "sasrec_embeddings.safetensors: no such file; step 'sasrec' writes it (semids_sasrec)"
    assert says in capsys.readouterr().err

def test_step_after_other_settings(shop, capsys):
    "Files of an earlier step that belong to other settings are not used"
    assert run(shop, ['sasrec', 'rqvae', 'semantic_ids']) == 0
    assert run(shop, ['conversion'], '--set', 'rqvae.model.beta=.3') == 2
    says = "step 'rqvae' ran with another rqvae.model.beta; run semids_rqvae again"
    assert says in capsys.readouterr().err

def test_other_histories_are_not_measured(shop, capsys):
    "TIGER and SASRec have learnt from histories that are gone: only baselines are measured"
    assert run(shop) == 0
    more('another i1 i2 i3\n')(*shop)
    capsys.readouterr()
    assert run(shop, ['evaluate']) == 0
    shown = capsys.readouterr().out
    says = ("sasrec is left out: step 'sasrec' ran with another file of interactions; "
            'run semids_sasrec again')
    assert says in shown and 'tiger is left out: ' in shown
    assert re.search('^Markov ', shown, re.M) and not re.search('^(SASRec|TIGER|RQ)', shown, re.M)

def test_checkpoints_of_another_shape_or_other_items(shop):
    assert run(shop) == 0
    folder = shop[0]/'out/checkpoints/small'
    ids = json.loads((folder/'semantic_ids.json').read_text())
    with pytest.raises(ValueError, match='with K=1 codewords'):
        read_ids(folder/'semantic_ids.json', K=1)
    config = json.loads((folder/'tiger/config.json').read_text())
    changed = config | dict(settings=config['settings'] | dict(d=32))
    (folder/'tiger/config.json').write_text(json.dumps(changed))
    with pytest.raises(ValueError, match='is F32 of shape .*; expected F32 of shape'):
        load_model(TIGER, folder/'tiger')
    (folder/'tiger/config.json').write_text(json.dumps(config))
    others = {f'other-{i}': v for i, v in ids.items()}
    (folder/'tiger/semantic_ids.json').write_text(json.dumps(others))
    with pytest.raises(ValueError, match='trained on other semantic IDs'): Recommender.load(folder)
    (folder/'tiger/model.safetensors').write_bytes(b'junk')
    with pytest.raises(ValueError, match='not readable as safetensors'):
        load_model(TIGER, folder/'tiger')

class Trap:
    "What a pickle can ask for: a call"
    def __init__(self, path): self.path = path
    def __reduce__(self): return Path.touch, (self.path,)

def test_pickle_runs_nothing(tmp_path):
    vectors_with_a_call = {'item_id': ['a'], 'embedding': Trap(tmp_path/'touched')}
    (tmp_path/'v.pkl').write_bytes(pickle.dumps(vectors_with_a_call))
    with pytest.raises(ValueError, match='only NumPy arrays'): read_item_vectors(tmp_path/'v.pkl')
    assert not (tmp_path/'touched').exists()

def test_interrupted_write_leaves_the_old_file(tmp_path):
    (tmp_path/'f').write_text('old')
    with pytest.raises(RuntimeError):
        with write_beside(tmp_path/'f') as part:
            part.write_text('half')
            raise RuntimeError
    assert (tmp_path/'f').read_text() == 'old'
    assert [p.name for p in tmp_path.iterdir()] == ['f']
