"Independent figures on the real Amazon Beauty set; skipped where its files are not at hand"
import json
import os
from pathlib import Path

import pytest
import torch

from semids.conversion import training_examples
from semids.data import leave_one_out, read_interactions, read_item_vectors
from semids.evaluation import Markov, Popularity, evaluate

beauty = Path(os.environ.get('SEMIDS_BEAUTY', Path(__file__).parent.parent/'data/Beauty'))
pytestmark = pytest.mark.skipif(not (beauty/'all_data.txt').exists(), reason=f'no Amazon Beauty files in {beauty} (set SEMIDS_BEAUTY)')

@pytest.fixture(scope='module')
def ixs(): return read_interactions(beauty/'all_data.txt').with_times(beauty/'timestamps.txt')

def test_counts(ixs):
    split = leave_one_out(ixs)
    assert (len(ixs), len(ixs.item_ids), len(ixs.items_A)) == (22_363, 12_101, 198_502)
    assert (len(training_examples(split)), len(split.valid), len(split.test)) == (131_413, 22_363, 22_363)
    assert int((split.count_N == 0).sum()) == 33

def test_baselines(ixs):
    split = leave_one_out(ixs)
    measured = {r.__name__: evaluate(r(split.train), split.test, split.count_N).metrics() for r in (Popularity, Markov)}
    assert round(measured['Popularity']['recall@10'], 4) == .0114
    assert {k: round(v, 4) for k, v in measured['Markov'].items() if k in ('recall@5', 'recall@10', 'ndcg@10')} == {'recall@5': .0486, 'recall@10': .0600, 'ndcg@10': .0413}

def test_shuffled_ties_lower_the_counter(ixs):
    split = leave_one_out(ixs.shuffle_ties(0))
    assert .0435 < evaluate(Markov(split.train), split.test, split.count_N).metrics()['recall@10'] < .0465

def test_vectors_match_by_id(ixs):
    vectors = read_item_vectors(beauty/'final_data_reduced.pkl')
    assert vectors.rows_for(ixs.item_ids).shape == (12_101, 128)

def test_results_cell_gives_the_committed_numbers(tmp_path, monkeypatch):
    "The cell of nbs/results/beauty.ipynb that is shown and not run leaves the file that its next cell reads"
    results = Path(__file__).parent.parent/'nbs/results'
    cells = [''.join(c['source']) for c in json.loads((results/'beauty.ipynb').read_text())['cells'] if c['cell_type'] == 'code']
    (tmp_path/'data').mkdir()
    (tmp_path/'data/Beauty').symlink_to(beauty.resolve())
    monkeypatch.chdir(tmp_path)
    exec('import json\nfrom pathlib import Path\n' + next(c for c in cells if 'eval: false' in c), {})
    assert json.loads((tmp_path/'beauty_ties.json').read_text()) == json.loads((results/'beauty_ties.json').read_text())
