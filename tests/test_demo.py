"The README's commands, as a user runs them: the whole demo, its files, its second run, its recommender"
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).parent.parent

def command(name, *args, **kwargs):
    return subprocess.run([sys.executable, '-c', f'import sys; from semids.pipeline import {name}; sys.exit({name}())', *map(str, args)],
                          capture_output=True, text=True, timeout=900, **kwargs)

@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp('demo')
    done = command('semids_demo', '--device', 'cpu', cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout

def test_table(demo):
    for name in ('Popularity', 'Markov', 'SASRec', 'TIGER', 'best possible'): assert re.search(rf'^{name} ', demo[1], re.M)
    assert 'tie order as given' in demo[1] and 'seed 0' in demo[1]

def test_numbers(demo):
    metrics = json.loads((demo[0]/'checkpoints/toy/metrics.json').read_text())
    masked = metrics['seen masked']
    assert masked['TIGER']['recall@10'] >= .9*metrics['ceiling']['recall@10']
    assert masked['TIGER']['recall@10'] > masked['SASRec']['recall@10'] > masked['Markov']['recall@10'] > masked['Popularity']['recall@10']
    never = {name: masked[name]['by_popularity']['never seen'] for name in ('TIGER', 'SASRec')}
    assert never['TIGER']['users'] > 100 and never['TIGER']['recall10'] > never['SASRec']['recall10']
    assert masked['TIGER']['invalid'] == 0
    assert set(metrics) >= {'protocol', 'seed', 'settings', 'seconds', 'seen masked', 'seen kept', 'version'}
    assert set(metrics['seconds']) == {'sasrec', 'rqvae', 'semantic_ids', 'conversion', 'tiger'}

def test_second_run_repeats_nothing(demo):
    done = command('semids_demo', '--device', 'cpu', cwd=demo[0])
    assert done.stdout.count('unchanged, not repeated') == 5

def test_readme_lines_run(demo):
    "The README's Python, in the folder that the demo left: nothing is trained again, and it recommends"
    code = re.findall(r'```python\n(.*?)```', (root/'README.md').read_text(), re.S)
    assert len(code) == 1
    *lines, last = code[0].strip().splitlines()
    program = '\n'.join([*lines, f'for item, logp in {last}: print("->", item, logp)'])
    done = subprocess.run([sys.executable, '-c', program], cwd=demo[0], capture_output=True, text=True, env=os.environ | {'CUDA_VISIBLE_DEVICES': ''})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('unchanged, not repeated') == 5 and 'best possible' in done.stdout
    items = [line.split()[1] for line in done.stdout.splitlines() if line.startswith('-> ')]
    assert len(set(items)) == 5 and not {'shampoo-1', 'conditioner-2'} & set(items)

def test_shell_lines_name_what_is_installed():
    "Every command in a shell block of README and notebooks exists and takes the options that are shown"
    texts = [(root/'README.md').read_text()] + [''.join(c['source']) for p in (root/'nbs').rglob('*.ipynb') for c in json.loads(p.read_text())['cells'] if c['cell_type'] == 'markdown']
    lines = {line for text in texts for block in re.findall(r'```sh\n(.*?)```', text, re.S) for line in re.split(r'\n| && ', block.strip())}
    assert any(line.startswith('semids_pipeline') for line in lines)
    for line in lines:
        program, *options = line.removeprefix('peers/bin/').split()
        if program.startswith('semids_'): shown = command(program, '--help').stdout
        elif program == 'python': shown = subprocess.run([sys.executable, *options[:1 + (options[0] == '-m')], '--help'], cwd=root, capture_output=True, text=True, check=True).stdout
        else: shown = subprocess.run([sys.executable, '-m', {'tensorboard': 'tensorboard.main'}.get(program, program), *options[:program == 'pip'], '--help'], capture_output=True, text=True).stdout
        for option in options:
            if option.startswith('-') and (program, option) != ('python', '-m'): assert re.search(rf'(^|[\s,\[]){re.escape(option)}\b', shown), f'{line}: no option {option}'
