"Library, notebooks and README say the same; imports go one way"
import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).parent.parent

@pytest.fixture
def copy(tmp_path):
    for name in ('nbs', 'semids'): shutil.copytree(root/name, tmp_path/name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for name in ('settings.ini', 'README.md'): shutil.copy(root/name, tmp_path)
    return tmp_path

def test_library_is_the_exported_notebooks(copy):
    for path in (copy/'semids').glob('*.py'): path.unlink()
    (copy/'semids/__init__.py').write_text((root/'semids/__init__.py').read_text())
    subprocess.run([sys.executable, '-c', 'from nbdev.doclinks import nbdev_export; nbdev_export()'], cwd=copy, check=True, capture_output=True)
    for path in sorted((root/'semids').glob('*.py')): assert (copy/'semids'/path.name).read_text() == path.read_text(), f'{path.name} differs from its notebook'

def test_notebooks_are_clean(copy):
    subprocess.run([sys.executable, '-c', 'from nbdev.clean import nbdev_clean; nbdev_clean()'], cwd=copy, check=True, capture_output=True)
    for path in sorted((root/'nbs').rglob('*.ipynb')): assert (copy/path.relative_to(root)).read_text() == path.read_text(), f'{path.name} is not as nbdev_clean leaves it'

def test_readme_is_the_index(copy):
    assert subprocess.run([sys.executable, root/'nbs/_readme.py', '--check']).returncode == 0
    index = copy/'nbs/index.ipynb'
    index.write_text(index.read_text().replace('spells', 'writes', 1))
    assert subprocess.run([sys.executable, copy/'nbs/_readme.py', '--check'], capture_output=True).returncode == 1, 'the check cannot fail'

order = ['data', 'evaluation', 'layers', 'training', 'sasrec', 'rqvae', 'semantic_ids', 'conversion', 'beam_search', 'tiger', 'pipeline']

@pytest.mark.parametrize('module', order)
def test_imports_go_one_way(module):
    for node in ast.parse((root/f'semids/{module}.py').read_text()).body:
        names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            top, *rest = name.split('.')
            if top == 'semids' and rest: assert order.index(rest[0]) < order.index(module), f'{module} imports {name}'
            assert top not in ('nbdev', 'IPython', 'jupyter', 'matplotlib'), f'{module} needs {name} at import time'

def test_every_module_is_in_the_order():
    assert {p.stem for p in (root/'semids').glob('*.py')} - {'__init__', '_modidx'} == set(order)
