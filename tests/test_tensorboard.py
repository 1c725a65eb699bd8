"What TensorBoard shows of a short run: groups, names, values, and the columns of the projector"
import csv
import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from semids import pipeline
from semids.pipeline import Run, RunSettings, run_pipeline
from semids.semantic_ids import read_ids
from semids.toy_shop import toy_shop

def training(**changes): return dict(steps=20, every=10, batch_size=64) | changes

SETTINGS = {
    'name': 'short', 'threads': 1,
    'sasrec': {'model': {'d': 8}, 'training': training(valid_users=50)},
    'rqvae': {'model': {'C': 8, 'K': 16, 'hidden': [16]}, 'training': training(batch_size=240)},
    'tiger': {'model': {'d': 16, 'heads': 2, 'd_head': 8, 'd_ff': 16, 'layers': 1, 'max_len': 4},
              'training': training(valid_users=50)},
    'rq_transformer': {'model': {'d': 16, 'heads': 2, 'd_ff': 16, 'max_len': 4},
                       'training': training(valid_users=50)},
    'fusion': {'valid_users': 50}}
WRITERS = ('tiger', 'rq_transformer')
TRAINED = ('sasrec', 'rqvae', *WRITERS)

@pytest.fixture(scope='module')
def run(tmp_path_factory):
    run = Run(RunSettings().update(SETTINGS, 'short'), out=tmp_path_factory.mktemp('out'),
              device='cpu')
    run_pipeline(run)
    return run

def events(run, step): return EventAccumulator(str(run.logs/f'{step}_logs')).Reload()
def scalars(run, step): return set(events(run, step).Tags()['scalars'])

def table(run, step):
    "The columns of the projector, row by row"
    path, = (run.logs/f'{step}_logs').rglob('metadata.tsv')
    with path.open(newline='') as f: return list(csv.DictReader(f, delimiter='\t'))

@pytest.mark.parametrize('step', TRAINED)
def test_groups(run, step):
    groups = {tag.split('/')[0] for tag in scalars(run, step)}
    assert groups == {'train', 'valid'} | ({'codebook'} if step == 'rqvae' else set())
    assert {'train/loss', 'train/gradient_norm', 'train/learning_rate'} <= scalars(run, step)
    # a group of histograms would come first on the page
    tags = events(run, step).Tags()
    assert not any(tags[kind] for kind in ('histograms', 'distributions', 'images'))

@pytest.mark.parametrize('step', TRAINED)
def test_a_score_has_its_true_name(run, step):
    name, sign = ('information_loss', -1) if step == 'rqvae' else ('ndcg@10', 1)
    curve = json.loads((run.folder/step/'config.json').read_text())['curve']
    points = events(run, step).Scalars(f'valid/{name}')
    assert [p.step for p in points] == [at for at, _ in curve] == [10, 20]
    assert [sign*p.value for p in points] == pytest.approx([score for _, score in curve])
    assert not any('score' in tag for tag in scalars(run, step))

def test_levels_have_their_letters(run):
    by_level = {f'codebook/{name} level {level}' for name in ('usage', 'perplexity', 'error')
                for level in 'abc'}
    others = {'codebook/collision_rate', 'codebook/revived'}
    assert {t for t in scalars(run, 'rqvae') if t.startswith('codebook/')} == by_level | others
    for step in WRITERS:
        assert {f'train/loss level {level}' for level in 'abcd'} <= scalars(run, step)

def test_test_results_of_every_recommender(run):
    metrics = json.loads((run.folder/'metrics.json').read_text())['seen masked']
    log = events(run, 'evaluate')
    for name, numbers in metrics.items():
        for metric in ('recall@10', 'ndcg@10'):
            point, = log.Scalars(f'test/{name}.{metric}')
            assert point.value == pytest.approx(numbers[metric])

def test_projector_has_columns_to_colour_by(run):
    shop = toy_shop()
    category = dict(zip(shop.interactions.item_ids, shop.categories))
    ids = read_ids(run.folder/'semantic_ids.json', 16)
    spelt = {item: ids.spell(n) for n, item in enumerate(ids.item_ids)}
    rows = table(run, 'semantic_ids')
    assert {row['item'] for row in rows} == set(category)
    for row in rows:
        codes = spelt[row['item']]
        assert row['category'] == category[row['item']]
        assert f"<a_{row['first code']}>" == codes[0]
        assert row['first two codes'] == ' '.join(codes[:2])
        assert row['semantic ID'] == ' '.join(codes)
    count = dict(zip(run.load().split.item_ids, run.load().split.count_N.tolist()))
    assert {row['item']: int(row['training actions']) for row in table(run, 'sasrec')} == count

def test_projector_is_cut_and_a_tab_begins_no_column(run, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, 'PROJECTED', 7)
    monkeypatch.setattr(run, 'logs', tmp_path)
    def with_tabs(run, ids): return {'item': [f'{i}\t\n!' for i in ids]}
    monkeypatch.setattr(pipeline, '_known_of', with_tabs)
    pipeline.run_semantic_ids(run)
    rows = table(run, 'semantic_ids')
    assert len(rows) == 7
    assert all(row['item'].endswith(' !') and row['semantic ID'] for row in rows)
