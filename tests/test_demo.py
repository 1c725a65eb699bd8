"The README's commands, as a user runs them: the whole demo, its files, its second run"
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

root = Path(__file__).parent.parent
# all tests read what one demo left
pytestmark = pytest.mark.xdist_group('demo')
README = (root/'README.md').read_text()
STEPS = ['sasrec', 'rqvae', 'semantic_ids', 'conversion', 'tiger', 'rq_transformer', 'neighbours',
         'fusion', 'evaluate']

# name of a command: the module that has it
MODULES = dict(re.findall(r'^\s*(?:console_scripts = )?(semids_\w+)=([\w.]+):',
                          (root/'settings.ini').read_text(), re.M))

def command(name, *args, **kwargs):
    code = f'import sys; from {MODULES[name]} import {name}; sys.exit({name}())'
    return subprocess.run([sys.executable, '-c', code, *map(str, args)], capture_output=True,
                          text=True, timeout=900, **kwargs)

@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp('demo')
    done = command('semids_demo', '--device', 'cpu', cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout

@pytest.fixture(scope='module')
def metrics(demo): return json.loads((demo[0]/'checkpoints/toy/metrics.json').read_text())

NAMES = ['Popularity', 'Markov', 'Markov, backoff', 'Neighbours', 'SASRec', 'TIGER',
         'RQ-Transformer', 'Fusion', 'best possible']

def test_table(demo):
    for name in NAMES:
        assert len(re.findall(rf'^{re.escape(name)} +(left out|kept) ', demo[1], re.M)) == 2
    assert re.search('^expected ceiling ', demo[1], re.M)
    assert 'tie order as given' in demo[1] and 'seed 0' in demo[1]

def test_numbers(metrics):
    masked = metrics['seen masked']
    recall = {name: masked[name]['recall@10'] for name in NAMES}
    assert recall['TIGER'] >= .9*metrics['ceiling']['recall@10']
    assert recall['TIGER'] > recall['SASRec'] > recall['Markov'] > recall['Popularity']
    never = {name: masked[name]['by_popularity']['never seen'] for name in ('TIGER', 'SASRec')}
    assert never['TIGER']['users'] > 100
    assert never['TIGER']['recall@10'] > never['SASRec']['recall@10']
    assert masked['TIGER']['invalid'] == 0
    assert set(metrics['seconds']) == set(STEPS)
    assert {'protocol', 'seed', 'settings', 'seen masked', 'seen kept', 'version'} <= set(metrics)

def test_difference_to_the_strongest_baseline(metrics):
    masked = metrics['seen masked']
    versus = masked['TIGER']['vs_baseline']
    difference, low, high = versus['recall@10']
    assert versus['baseline'] == 'SASRec'
    assert difference == pytest.approx(masked['TIGER']['recall@10']-masked['SASRec']['recall@10'])
    assert 0 < low < difference < high

def test_ranked_items(demo, metrics):
    "Per user, in raw ids: the hits that are counted from the files are those of the table"
    for name, file in (('TIGER', 'tiger'), ('Markov, backoff', 'markov_backoff')):
        table = pq.read_table(demo[0]/f'checkpoints/toy/ranked/{file}.parquet')
        for part, masked in (('seen masked', True), ('seen kept', False)):
            rows = [r for r in table.to_pylist() if r['seen_masked'] == masked]
            hits = sum(r['target'] in r['items'][:10] for r in rows)
            assert len({r['user'] for r in rows}) == len(rows) == 3000
            assert hits/len(rows) == pytest.approx(metrics[part][name]['recall@10'], abs=1e-6)

def test_second_run_repeats_nothing(demo):
    done = command('semids_demo', '--device', 'cpu', cwd=demo[0])
    assert done.stdout.count('unchanged, not repeated') == len(STEPS)

def test_other_beams_measure_again_and_train_nothing(demo):
    shutil.copytree(demo[0]/'checkpoints', demo[0]/'copy/checkpoints')
    done = command('semids_evaluate', '--params', 'toy', '--device', 'cpu', '--set',
                   'evaluation.beams=5', cwd=demo[0]/'copy')
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'unchanged' not in done.stdout and re.search('^TIGER ', done.stdout, re.M)
    measured = json.loads((demo[0]/'copy/checkpoints/toy/metrics.json').read_text())
    assert measured['protocol']['beams'] == 5

def test_readme_lines_run(demo):
    "The README's Python, in the folder that the demo left: nothing is trained, and it recommends"
    code, own = re.findall(r'```python\n(.*?)```', README, re.S)
    assert 'fit(actions, items, ' in own
    done = subprocess.run([sys.executable, '-c', code], cwd=demo[0], capture_output=True,
                          text=True, env=os.environ | {'CUDA_VISIBLE_DEVICES': ''})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('unchanged, not repeated') == len(STEPS)
    items = [line.split()[0] for line in done.stdout.splitlines()[-5:]]
    assert len(set(items)) == 5 and not {'shampoo-1', 'conditioner-2'} & set(items)
    # the README shows what the program prints
    shown = [line for line in items if re.search(rf'^{line} +-\d', README, re.M)]
    assert len(shown) >= 3

def test_readme_lines_on_own_data_run(tmp_path):
    "The other Python of the README, with tables as it says, and trainings cut short"
    _, own = re.findall(r'```python\n(.*?)```', README, re.S)
    setup = """if True:
        import numpy as np, semids.pipeline
        from semids.toy_shop import toy_shop
        shop = toy_shop(n_users=400, n_categories=3, n_items=5)
        ixs = shop.interactions
        sku_of = {item: f'sku-{n}' for n, item in enumerate(ixs.item_ids)}
        users = np.repeat(ixs.user_ids, ixs.lengths_U)
        skus = [sku_of[item] for item in ixs.item_ids[ixs.items_A]]
        actions = dict(customer=users, sku=skus, when=range(len(skus)))
        items = dict(sku=list(sku_of.values()), title=shop.texts)
        steps = ('sasrec', 'rqvae', 'tiger', 'rq_transformer')
        whole, short = semids.pipeline.fit, [f'{step}.training.steps=20' for step in steps]
        semids.pipeline.fit = lambda *tables, **data: whole(*tables, changes=short, **data)
    """
    code = setup + '\n' + own.replace('run.recommender()', 'found = run.recommender()')
    code += "\nassert len(found) == 10 and not {'sku-1', 'sku-7'} & {item for item, _ in found}"
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert 'Recall@10' in done.stdout

def markdown():
    "README and the text of all notebooks"
    yield README
    for path in (root/'nbs').rglob('*.ipynb'):
        for cell in json.loads(path.read_text())['cells']:
            if cell['cell_type'] == 'markdown': yield ''.join(cell['source'])

def shell_lines():
    blocks = [block for text in markdown() for block in re.findall(r'```sh\n(.*?)```', text, re.S)]
    # a line may go on after a backslash
    blocks = [re.sub(r'\\\n *', '', block).strip() for block in blocks]
    lines = {line for block in blocks for line in re.split(r'\n| && ', block)}
    # what is not of Python, or not here, is somebody else's to test
    others = ('git ', 'cd ', '#', 'host=', 'srun ', 'accelerate ', 'curl ')
    return sorted(line for line in lines if not line.startswith(others))

def shown_help(program, options):
    "What a program says to --help"
    if program.startswith('semids_'): return command(program, '--help').stdout
    # it starts our program, whose options follow
    if program == 'torchrun':
        shown = shown_help('python', ['-m', 'torch.distributed.run'])
        return shown + shown_help('semids_pipeline', [])
    if program == 'python': call = options[:1 + (options[0] == '-m')]
    else:
        module = {'tensorboard': 'tensorboard.main'}.get(program, program)
        call = ['-m', module, *options[:program == 'pip']]
    done = subprocess.run([sys.executable, *call, '--help'], cwd=root, capture_output=True,
                          text=True)
    return done.stdout

@pytest.mark.parametrize('line', shell_lines())
def test_shell_lines_name_what_is_installed(line):
    "Every command in a shell block of README and notebooks takes the options that are shown"
    program, *options = line.removeprefix('peers/bin/').split()
    shown = shown_help(program, options)
    for option in options:
        if not option.startswith('-') or (program, option) == ('python', '-m'): continue
        assert re.search(rf'(^|[\s,\[]){re.escape(option)}\b', shown), f'no option {option}'

def test_there_are_shell_lines():
    assert any(line.startswith('semids_pipeline') for line in shell_lines())
