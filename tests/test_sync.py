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
    without = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints')
    for name in ('nbs', 'semids'): shutil.copytree(root/name, tmp_path/name, ignore=without)
    for name in ('settings.ini', 'README.md'): shutil.copy(root/name, tmp_path)
    return tmp_path

def python(code, folder):
    subprocess.run([sys.executable, '-c', code], cwd=folder, check=True, capture_output=True)

def test_library_is_the_exported_notebooks(copy):
    for path in (copy/'semids').glob('*.py'): path.unlink()
    (copy/'semids/__init__.py').write_text((root/'semids/__init__.py').read_text())
    python('from nbdev.doclinks import nbdev_export; nbdev_export()', copy)
    for path in sorted((root/'semids').glob('*.py')):
        exported = (copy/'semids'/path.name).read_text()
        assert exported == path.read_text(), f'{path.name} differs from its notebook'

def test_notebooks_are_clean(copy):
    python('from nbdev.clean import nbdev_clean; nbdev_clean()', copy)
    for path in sorted((root/'nbs').rglob('*.ipynb')):
        cleaned = (copy/path.relative_to(root)).read_text()
        assert cleaned == path.read_text(), f'{path.name} is not as nbdev_clean leaves it'

def test_readme_is_the_index(copy):
    def check(folder):
        command = [sys.executable, folder/'nbs/_readme.py', '--check']
        return subprocess.run(command, capture_output=True).returncode
    assert check(root) == 0
    index = copy/'nbs/index.ipynb'
    index.write_text(index.read_text().replace('spells', 'writes', 1))
    assert check(copy) == 1, 'the check cannot fail'

order = ['errors', 'tables', 'settings', 'files', 'interactions', 'items', 'download',
         'catalogue', 'preparation', 'splits', 'toy_shop', 'processes', 'evaluation', 'checkpoints',
         'layers', 'training', 'sasrec', 'rqvae', 'semantic_ids', 'conversion', 'beam_search',
         'tiger', 'rq_transformer', 'neighbours', 'fusion', 'look_inside', 'hugging_face',
         'exchange', 'changes', 'recommender', 'serve', 'sizes', 'pipeline', 'check']

def imported(module):
    "Names of the modules that a module imports, wherever in it"
    for node in ast.walk(ast.parse((root/f'semids/{module}.py').read_text())):
        # the exported modules write `from .layers import ...`
        if isinstance(node, ast.ImportFrom): yield 'semids.'*node.level + (node.module or '')
        if isinstance(node, ast.Import): yield from (alias.name for alias in node.names)

@pytest.mark.parametrize('module', order)
def test_imports_go_one_way(module):
    for name in imported(module):
        top, *rest = name.split('.')
        if top == 'semids' and rest:
            assert order.index(rest[0]) < order.index(module), f'{module} imports {name}'

@pytest.mark.parametrize('module', order)
def test_nothing_of_development_is_imported(module):
    tools = {'nbdev', 'IPython', 'jupyter', 'matplotlib', 'pytest'}
    assert not tools & {name.split('.')[0] for name in imported(module)}

def test_every_module_is_in_the_order():
    modules = {p.stem for p in (root/'semids').glob('*.py')}
    assert modules - {'__init__', '_modidx'} == set(order)
