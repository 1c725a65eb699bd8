"The form: what can be counted of 'one idea a line'. CONTRIBUTING.md says why"
import ast
import json
import statistics
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
WIDTH = 100
# what a line does: every one of these is an operation
OPERATIONS = (ast.Call, ast.BinOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.IfExp, ast.Lambda,
              ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp, ast.NamedExpr,
              ast.UnaryOp, ast.Starred)

modules = [p for p in sorted((root/'semids').glob('*.py')) if p.name != '_modidx.py']
scripts = [p for p in sorted(root.rglob('*.py')) if p.parts[len(root.parts)] in ('tests', 'nbs')]
scripts = [p for p in scripts if '.ipynb_checkpoints' not in p.parts]
notebooks = sorted((root/'nbs').rglob('*.ipynb'))
notebooks = [p for p in notebooks if '.ipynb_checkpoints' not in p.parts]

def code_cells(path):
    "Sources of the code cells of a notebook"
    for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
        if cell['cell_type'] == 'code': yield ''.join(cell['source'])

def is_export(source):
    first = [line.replace(' ', '') for line in source.split('\n')[:3]]
    return any(line.startswith('#|export') for line in first)

def body(source):
    "Lines of code: without blank ones and comments"
    return [l for l in source.split('\n') if l.strip() and not l.strip().startswith('#')]

def is_imports(source):
    return all(l.startswith(('import', 'from', ' ', ')', '%')) for l in body(source))

def operations(source):
    "How many operations each line of code has"
    counts = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, OPERATIONS): counts[node.lineno] = counts.get(node.lineno, 0) + 1
    is_code = set(body(source))
    lines = enumerate(source.split('\n'), 1)
    return [counts.get(n, 0) for n, l in lines if l in is_code]

library = [p.read_text(encoding='utf-8') for p in modules]
cells = [(p, source) for p in notebooks for source in code_cells(p) if not source.startswith('%')]
exported = [s for _, s in cells if is_export(s) and body(s) and not is_imports(s)]
lessons = [(p, s) for p, s in cells if not is_export(s) and body(s) and not is_imports(s)]

@pytest.mark.parametrize('path', modules + scripts + [root/'setup.py'], ids=lambda p: p.name)
def test_columns_of_files(path):
    lines = path.read_text(encoding='utf-8').split('\n')
    if path.parent.name == 'semids' and '# %% auto #0' in lines:
        # nbdev fills the list of exported names to a width of its own
        lines = lines[lines.index('# %% auto #0')+1:]
        lines = lines[next(n for n, l in enumerate(lines) if l.startswith('# %%')):]
    assert not [f'{path.name}: {l}' for l in lines if len(l) > WIDTH]

@pytest.mark.parametrize('path', notebooks, ids=lambda p: p.stem)
def test_columns_of_notebooks(path):
    lines = [l for source in code_cells(path) for l in source.split('\n')]
    # a picture is described in one line, which the site does not show as code
    lines = [l for l in lines if not l.startswith('#| fig-')]
    assert not [f'{len(l)} columns: {l}' for l in lines if len(l) > WIDTH]

@pytest.mark.parametrize('name', ['library', 'lessons'])
def test_dense_lines_are_rare(name):
    sources = library if name == 'library' else [s for _, s in lessons]
    counts = [n for source in sources for n in operations(source)]
    dense = sum(n >= 8 for n in counts)
    assert dense <= .005*len(counts), f'{dense} of {len(counts)} lines have 8 or more operations'

def test_exported_cells_are_short():
    assert statistics.median(len(body(s)) for s in exported) <= 12

def test_tuple_assignments_are_rare():
    "`a, b = f(x), g(y)` saves a line and costs one in every diff"
    nodes = [n for source in library for n in ast.walk(ast.parse(source))]
    assignments = [n for n in nodes if isinstance(n, ast.Assign)]
    def is_pair(node): return isinstance(node, ast.Tuple)
    pairs = [n for n in assignments if is_pair(n.targets[0]) and is_pair(n.value)]
    assert len(pairs) <= .01*len(assignments), [ast.unparse(n) for n in pairs]

def test_lesson_cells_end_in_what_they_show():
    "The last line of a lesson is no check: a reader sees a value, or the next cell uses it"
    checks = ('test_eq', 'test_close', 'test_fail')
    def is_check(node):
        if isinstance(node, ast.Assert): return True
        call = getattr(node, 'value', None)
        return isinstance(call, ast.Call) and ast.unparse(call.func) in checks
    def ends_in_check(source):
        last = ast.parse(source).body[-1]
        # a loop of checks is a check
        while isinstance(last, (ast.For, ast.With)): last = last.body[-1]
        return is_check(last)
    ends = [f'{p.name}:\n{s}' for p, s in lessons if ends_in_check(s)]
    assert not ends, '\n\n'.join(ends)

@pytest.mark.parametrize('path', modules, ids=lambda p: p.stem)
def test_private_names_stay_at_home(path):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('semids'):
            assert not [a.name for a in node.names if a.name.startswith('_')], ast.unparse(node)
