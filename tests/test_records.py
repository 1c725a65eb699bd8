"A step runs again when its code, its settings or its inputs change, and only then"
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
PROGRAM = 'import sys; from semids.pipeline import semids_sasrec; sys.exit(semids_sasrec())'
SHORT = {'name': 'short', 'rqvae': {'model': {'K': 16}},
         'sasrec': {'model': {'d': 8}, 'training': {'steps': 2, 'every': 1}}}

@pytest.fixture
def package(tmp_path):
    "A copy of the package that can be edited; Python finds it first in its own folder"
    without = shutil.ignore_patterns('__pycache__')
    shutil.copytree(root/'semids', tmp_path/'semids', ignore=without)
    (tmp_path/'short.json').write_text(json.dumps(SHORT))
    return tmp_path

def ran(folder):
    "Run step 1 with the package of this folder: did it run, or was it unchanged?"
    call = [sys.executable, '-c', PROGRAM, '--params', 'short.json', '--device', 'cpu']
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return 'unchanged' not in done.stdout

def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) >= 1, f'{path.name} has no {old!r}'
    path.write_text(text.replace(old, new, 1))

def test_code_counts_and_comments_do_not(package):
    sasrec = package/'semids/sasrec.py'
    assert ran(package)
    assert not ran(package)
    # a comment, and a docstring
    edit(sasrec, '\ndef train_sasrec(', '\n# a comment\ndef train_sasrec(')
    edit(sasrec, '"""', '"""Another docstring. ')
    assert not ran(package)
    # another line of code, which happens to do the same
    edit(sasrec, '\ndef train_sasrec(', '\nUNUSED = 1\ndef train_sasrec(')
    assert ran(package)
    assert not ran(package)
    # a module that sasrec imports
    with (package/'semids/layers.py').open('a') as f: f.write('\nUNUSED = 1\n')
    assert ran(package)
    # a module of a later step
    with (package/'semids/tiger.py').open('a') as f: f.write('\nUNUSED = 1\n')
    assert not ran(package)
