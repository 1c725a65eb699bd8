"Every notebook through nbdev's own test runner, in a process of its own; without slow cells"
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).parent.parent

def is_hidden(path): return any(part[0] in '_.' for part in path.relative_to(root).parts)
notebooks = sorted(p for p in (root/'nbs').rglob('*.ipynb') if not is_hidden(p))

@pytest.mark.parametrize('path', notebooks, ids=lambda p: p.stem)
def test_notebook(path):
    call = f'nbdev_test(path={str(path)!r}, n_workers=0, do_print=True)'
    code = f'from nbdev.test import nbdev_test; {call}'
    done = subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True, text=True,
                          timeout=400)
    assert done.returncode == 0 and 'Success' in done.stdout, done.stdout + done.stderr

def test_all_are_here():
    "A runner that finds nothing must not look like one that passes"
    modules = {p.stem for p in (root/'semids').glob('[a-z]*.py')}
    steps = {'sasrec': '00_sasrec', 'rqvae': '01_rqvae', 'semantic_ids': '02_semantic_ids',
             'conversion': '03_conversion', 'beam_search': '04_beam_search', 'tiger': '05_tiger'}
    stems = {p.stem for p in notebooks}
    assert {steps.get(name, name) for name in modules} <= stems
    assert {'index', 'beauty', 'speed', 'own_data', 'protocol'} <= stems
