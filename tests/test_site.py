"The documentation site: built twice, read as files, and opened in headless Chromium"
import ast
import builtins
import functools
import http.server
import importlib
import inspect
import json
import posixpath
import re
import shutil
import subprocess
import sys
import symtable
import tempfile
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastcore.basics import patch

from semids.beam_search import Constraints, Trie, beam_search
from semids.semantic_ids import read_ids
from semids.toy_shop import draw_catalogue, toy_shop

root = Path(__file__).parents[1]
# all tests read the same two sites
pytestmark = pytest.mark.xdist_group('site')
sys.path.insert(0, str(root/'nbs/_site'))
import build as site_build
import entries as site_entries
import settings_page
from _explorer import stored
from _svg import with_schemes

LIMIT = 1.5*2**20 # bytes of a page with all that it loads
WIDTH = 1280 # no line of code is cut in a window of this width
names = ('chromium', 'chromium-browser', 'google-chrome')
CHROMIUM = next(filter(None, map(shutil.which, names)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed')

# ---- the site as files

class Reader(HTMLParser):
    "What a page links to, loads and names"
    def __init__(self, path):
        super().__init__()
        self.links = []
        self.loads = []
        self.ids = []
        self.pictures = [] # their descriptions
        self.sidebar = []
        self.metas = {}
        self.next = None
        self.text = path.read_text(encoding='utf-8')
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if 'id' in attrs: self.ids.append(attrs['id'])
        if tag=='a' and 'href' in attrs: self.links.append(attrs['href'])
        if attrs.get('class')=='next-page': self.next = attrs['href']
        if tag in ('script','img','iframe') and 'src' in attrs: self.loads.append(attrs['src'])
        if tag=='link' and attrs.get('rel') in ('stylesheet','icon','preload'):
            self.loads.append(attrs['href'])
        if tag=='img': self.pictures.append(attrs.get('alt') or '')
        if tag=='svg' and attrs.get('role')=='img':
            self.pictures.append(attrs.get('aria-label') or '')
        if tag=='li' and 'toctree-l1' in attrs.get('class', ''):
            self.sidebar.append(len(self.links))
        name = attrs.get('name') or attrs.get('property')
        if tag=='meta': self.metas[name] = attrs.get('content')

@pytest.fixture(scope='session')
def build(tmp_path_factory):
    "The site, built twice: two folders, and the seconds of the slower build"
    outs = [tmp_path_factory.mktemp('site')/'docs' for _ in range(2)]
    seconds = []
    for out in outs:
        start = time.time()
        subprocess.run([sys.executable, root/'nbs/_site/build.py', '--out', out], check=True)
        seconds.append(time.time()-start)
    return outs,max(seconds)

@pytest.fixture(scope='session')
def site(build): return build[0][0]

@pytest.fixture(scope='session')
def pages(site):
    paths = sorted(site.rglob('*.html'))
    return {p.relative_to(site).as_posix():Reader(p) for p in paths}

@pytest.fixture(scope='session')
def notebooks():
    "The notebooks as the site converts them"
    return site_build.read_pages(site_build.check_order())

def test_fast_and_byte_identical(build):
    (a,b),seconds = build
    assert seconds<60
    files = [{p.relative_to(d).as_posix():p.read_bytes() for p in d.rglob('*') if p.is_file()}
             for d in (a,b)]
    assert files[0]==files[1]

def test_links_and_anchors_resolve(site, pages):
    ids = {name:set(page.ids) | {''} for name,page in pages.items()}
    dead = []
    for name,page in pages.items():
        for link in page.links + page.loads:
            url = urlsplit(link)
            if url.scheme in ('http','https'): continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(url.path)))
            if not url.path: path = name
            if not (site/path).exists(): dead.append(f'{name}: {link}')
            elif path in ids and unquote(url.fragment) not in ids[path]:
                dead.append(f'{name}: {link}')
    assert not dead

def test_nothing_is_loaded_from_elsewhere(pages):
    loads = [(name, load) for name,page in pages.items() for load in page.loads]
    assert not [(name, load) for name,load in loads if urlsplit(load).netloc]

def test_pictures_have_descriptions(pages):
    found = [(name, text) for name,page in pages.items() for text in page.pictures]
    assert found and not [(name, text) for name,text in found if len(text)<16]

def test_ids_are_unique(pages):
    assert not {name:[i for i in page.ids if page.ids.count(i)>1] for name,page in pages.items()
                if len(set(page.ids))<len(page.ids)}

def test_pages_say_what_they_are(pages):
    described = {name:page.metas.get('description') for name,page in pages.items()}
    assert all(described.values()), described
    assert all('og:title' in page.metas for page in pages.values())
    # not the same everywhere
    assert len(set(described.values())) > len(described)/2

def test_reading_order(pages):
    "Sidebar, previous and next follow READING_ORDER, which names every notebook"
    wanted = [f'{name}.html' for name in site_build.check_order()[1:]]
    wanted += [f'{name}.html' for name in site_build.REFERENCE]
    home = pages['index.html']
    assert [home.links[i] for i in home.sidebar] == ['#']+wanted
    walked = ['index.html']
    while following := pages[walked[-1]].next:
        walked.append(posixpath.normpath(posixpath.join(posixpath.dirname(walked[-1]), following)))
    assert walked == ['index.html']+wanted[:-1] # the index of functions is no page to read
    labels = re.findall(r'toctree-l1"><a[^>]*>(.*?)</a>', home.text)
    assert [label for label in labels if label[0].isdigit()] == [
        '1 SASRec', '2 RQ-VAE', '3 Semantic IDs', '4 Conversion', '5 TIGER']

def test_a_notebook_that_is_not_in_the_order(monkeypatch):
    order = {'Results':site_build.READING_ORDER['Results']}
    monkeypatch.setattr(site_build, 'READING_ORDER', order)
    with pytest.raises(ValueError, match='not in READING_ORDER.*00_sasrec'):
        site_build.check_order()

def test_next_in_the_text_is_next_in_the_pager(notebooks):
    "`Next: ...` links to the page that the button names"
    order = [page.name for page in notebooks]
    wrong = []
    for page,following in zip(notebooks, order[1:]):
        for link in re.findall(r'\bNext: .*?\]\(([\w./-]+)\.ipynb', page.prose()):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page.name), link))
            if path != following: wrong.append(f'{page.path}: Next is {path}, not {following}')
    assert not wrong

def test_steps_have_one_number(notebooks):
    "Step 1 is SASRec: the numbers of the files are not shown beside it"
    file_number = re.compile(r'\b0[0-5] (?:SASRec|RQ-VAE|semantic|conversion|beam|TIGER)', re.I)
    shown = {page.path:file_number.findall(page.prose()) for page in notebooks}
    assert not {path:found for path,found in shown.items() if found}

def test_directives_and_divs_are_not_shown(pages):
    for name,page in pages.items():
        assert not re.search(r'#\||:::', re.sub(r'<[^>]+>', '', page.text)), name

# ---- the reference

def test_every_export_has_an_entry(pages):
    exported = set()
    for path in (root/'semids').glob('[a-z]*.py'):
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '')=='__all__':
                exported |= {f'semids.{path.stem}.{name}' for name in ast.literal_eval(node.value)}
    exported = {name for name in exported if not name.rsplit('.', 1)[1].startswith('_')}
    described = {i for page in pages.values() for i in page.ids}
    assert exported and not sorted(exported-described)

def library_entries(notebooks):
    "(module, entry) of everything in the reference"
    return [(page.module, e) for page in notebooks if page.module for e in page.all_entries()]

def real(module, name):
    "The object that an entry describes, as it stands in its module or class"
    *owners,last = name.split('.')
    owner = importlib.import_module(module)
    for part in owners: owner = getattr(owner, part)
    return inspect.getattr_static(owner, last)

class Patched: pass

@patch(cls_method=True)
def made(cls:Patched): pass

patched_class_method = inspect.getattr_static(Patched, 'made')

def parameters_of(obj, kind):
    "Names of parameters, with their stars, and their defaults"
    # a class method as its class gives it
    if kind=='classmethod': obj = obj.__get__(None, object)
    found = list(inspect.signature(obj).parameters.values())
    if kind=='method': found = found[1:]
    stars = {inspect.Parameter.VAR_POSITIONAL:'*', inspect.Parameter.VAR_KEYWORD:'**'}
    return {stars.get(p.kind, '')+p.name:p.default for p in found}

def test_entries_agree_with_the_objects(notebooks):
    "Kind, names, order and defaults of every entry, beside `inspect.signature`"
    wrong = []
    for module,entry in library_entries(notebooks):
        try: obj = real(module, entry.name)
        except AttributeError:
            wrong.append(f'{module}.{entry.name}: no such object')
            continue
        class_methods = (classmethod, type(patched_class_method))
        kinds = {'property':(property, functools.cached_property), 'class':type, 'data':object,
                 'classmethod':class_methods}
        if not isinstance(obj, kinds.get(entry.kind, type(parameters_of))):
            wrong.append(f'{module}.{entry.name}: {type(obj)} is no {entry.kind}')
        if entry.kind in ('property', 'data'): continue
        rows = [row for row in entry.parameters if row[0]!='*']
        expected = parameters_of(obj, entry.kind)
        if [row[0] for row in rows]!=list(expected):
            wrong.append(f'{module}.{entry.name}: {[row[0] for row in rows]}, {list(expected)}')
        for name,_,default,_ in rows:
            value = expected.get(name, inspect.Parameter.empty)
            if bool(default)!=(value is not inspect.Parameter.empty):
                wrong.append(f'{module}.{entry.name}: default {default!r} of {name} is {value!r}')
            try: same = ast.literal_eval(default)==value
            except (ValueError, SyntaxError): continue # an expression
            if not same: wrong.append(f'{module}.{entry.name}: {name} is {value!r}, not {default}')
    assert not wrong, '\n'.join(wrong)

def test_public_methods_have_an_entry(notebooks):
    found = {f'{module}.{entry.name}' for module,entry in library_entries(notebooks)}
    lacking = []
    for module,entry in library_entries(notebooks):
        if entry.kind!='class': continue
        for name,value in vars(real(module, entry.name)).items():
            function = getattr(value, '__func__', getattr(value, 'fget', value))
            if not inspect.isfunction(function) or function.__module__!=module: continue
            full = f'{module}.{entry.name}.{name}'
            if site_entries.is_public(name) and full not in found: lacking.append(full)
    assert not lacking

REFERENCE = '''#| exports
@dataclass(frozen=True)
class Small(Settings):
    "Small settings"
    d:int = option(64, 'width', low=1, high=512)
    loss:str = option('softmax', 'over all', among=('softmax','bce'))
    def check(self):
        if self.d%2: raise ValueError(f'd={self.d} is odd')

class Thing:
    "A thing"
    def __init__(self, n:int): self.n = n # how many
    @property
    def double(self)->int: return 2*self.n # twice
    @classmethod
    def of(cls, text:str): return cls(int(text))
    def __call__(self, x): return x

@patch(as_prop=True)
def half(self:Thing)->int: return self.n//2

@patch(cls_method=True)
def none(cls:Thing): return cls(0)

@patch
def more(self:Thing, n:int=1): return Thing(self.n+n)

def load(cls, folder, *, strict=True):
    "Load it"
    _check(folder)
    return cls

def _check(folder):
    if not folder: raise ValueError('no `folder`')

LIMIT = 3
'''

def test_kinds_and_errors_of_entries():
    library = site_entries.Library()
    found = site_entries.definitions(REFERENCE, shown=True)
    for definition in found: library.add(definition)
    public = [library.entry(d) for d in found if site_entries.is_public(d.name)]
    entries = {e.name:e for top in public for e in site_entries.walk(top)}
    kinds = {name:e.kind for name,e in entries.items()}
    assert kinds == {
        'Small':'class', 'Small.check':'method', 'Thing':'class', 'Thing.double':'property',
        'Thing.of':'classmethod', 'Thing.__call__':'method', 'Thing.half':'property',
        'Thing.none':'classmethod', 'Thing.more':'method', 'load':'function', 'LIMIT':'data'}
    names = {name:[row[0] for row in e.parameters] for name,e in entries.items()}
    assert names['load'] == ['cls', 'folder', '*', 'strict']
    assert names['Thing'] == ['n'] and names['Thing.of'] == ['text']
    assert names['Thing.more'] == ['n'] and names['Thing.none'] == []
    assert entries['Small'].parameters == [
        ('d', 'int', '64', 'width; at least 1 and at most 512'),
        ('loss', 'str', "'softmax'", "over all; one of 'softmax', 'bce'")]
    assert entries['Small'].raises == [('ValueError', 'd=… is odd')]
    assert entries['load'].raises == [('ValueError', 'no `folder`')]
    text = site_entries.to_myst(entries['Thing'], 'semids.small')
    assert ':::::{py:property} double\n:type: int' in text
    assert ':::::{py:method} of(text)\n:classmethod:' in text

def test_names_in_prose_link_to_their_entries(pages):
    assert '04_beam_search.html#semids.beam_search.beam_search' in pages['glossary.html'].links
    paper = 'bibliography.html#ref-arxiv-org-abs-1808-09781'
    assert any(link.startswith(paper) for link in pages['00_sasrec.html'].links)

def test_the_page_of_settings():
    "Rows, presets side by side, and the help of a command"
    rows = [dict(setting='name', type='str', value='"run"', allowed='', meaning='of the run'),
            dict(setting='tiger.training.steps', type='int', value='100', allowed='at least 1',
                 meaning='updates | batches')]
    chosen = dict(toy={'tiger.training.steps':690}, beauty={})
    text = settings_page.page(rows, chosen, dict(semids_demo='usage: semids_demo'))
    assert '### The run' in text and '### `tiger.training`' in text
    assert ('| `tiger.training.steps` | `100` | `690` | updates \\| batches (`int`, at least 1) |'
            in text)
    assert '| setting | default | toy | meaning |' in text # beauty changes none of them
    assert 'usage: semids_demo' in text

def test_every_setting_is_on_the_page(pages):
    from semids.pipeline import RunSettings
    from semids.settings import describe
    text = re.sub(r'<[^>]+>', '', pages['settings.html'].text)
    assert not [row['setting'] for row in describe(RunSettings()) if row['setting'] not in text]
    assert 'usage: semids_pipeline' in text and '--set' in text

# ---- pages run as shown

def undefined_names(sources):
    "Names that cells use, run one after the other, and none of them defines"
    known = set(dir(builtins)) | {'__name__', 'display'}
    tables = [symtable.symtable(source, 'cell', 'exec') for source in sources]
    def bound(table):
        marks = [s for s in table.get_symbols() if s.is_assigned() or s.is_imported()]
        return {s.get_name() for s in marks}
    # a function may use what a later cell defines
    anywhere = known.union(*map(bound, tables))
    def inner(table):
        for child in table.get_children():
            yield from (s.get_name() for s in child.get_symbols() if s.is_global())
            yield from inner(child)
    found = []
    for table in tables:
        known |= bound(table)
        outer = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
        found += sorted(outer-known) + sorted(set(inner(table))-anywhere)
    return list(dict.fromkeys(found))

def test_undefined_names_are_found():
    assert undefined_names(['import math', 'x = math.pi', 'def f(a): return a+x+later', 'f(1)',
                            'later = [n for n in range(3)]']) == []
    assert undefined_names(['f(1)', 'def f(): return torch']) == ['f', 'torch']

def test_pages_run_as_shown(notebooks):
    "The visible code of a page, folded imports too, uses nothing that it does not define"
    lacking = {}
    for page in notebooks:
        cells = [c for c in page.cells if c.cell_type=='code']
        shown = [c.source for c in cells if 'remove-input' not in c.metadata.tags]
        if found := undefined_names(shown): lacking[page.path] = found
    assert not lacking

# ---- letters

def small_page(tmp_path, monkeypatch, cells):
    "A page made of some cells"
    monkeypatch.setattr(site_build, 'nbs', tmp_path)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path/'small.ipynb')
    page = site_build.Page(tmp_path/'small.ipynb')
    library = site_entries.Library()
    for found in page.definitions.values():
        for definition in found: library.add(definition)
    page.convert(library)
    return page

code = nbformat.v4.new_code_cell
text = nbformat.v4.new_markdown_cell

def test_letters(tmp_path, monkeypatch):
    cells = [text('# Title'), text('**Letters used:** `X` examples, `B` batch.'),
             code('target_X = x_BTD = items_Bk = row_BQ = SOME_CONSTANT = read_CSV = to_Dict = 1')]
    page = small_page(tmp_path, monkeypatch, cells)
    page.cells[-1].source = page.cells[-1].source.replace('read_CSV = ', '')
    glossary = '\n'.join(f'| `{letter}` | meaning |' for letter in 'BTDkV')
    unknown,unused = site_build.check_letters([page], glossary)
    assert 'letter Q of row_BQ' in unknown
    assert unused.endswith('no notebook uses V')

# ---- cells and pictures

def test_cell_options(tmp_path, monkeypatch):
    "Hidden cells, Quarto's options, callouts, `show_doc`, and a picture without a description"
    png = [nbformat.v4.new_output('display_data', {'image/png':'iVBORw0KGgo='})]
    function = ('#| export\ndef f(\n    a:int|None=None, # the first | the last\n'
                '    *rest, # others\n)->str: # a word\n    "Does it"')
    cells = [text('# Title\n\n> subtitle'), code('#| default_exp small'),
             code('#| hide\nsecret = 1'),
             code('#| include: false\nsecret = 2'), code('#| export\nimport math'),
             code('from math import (\n    pi)'), code('#| echo: false\nquiet = 1'),
             code('#| output: false\nloud = 1'), code('#| code-fold: true\nfolded = 1'),
             code('#| slow\nslow = 1'), code(function), text('::: {.callout-tip}'),
             text('## Heading\n\ninside\n:::\n\n::: {.callout-note}\nplain\n:::'),
             code('show_doc(f)'),
             code('#| fig-alt: "described: well"\n#| fig-cap: caption\nplot()', outputs=png),
             code('plot()', outputs=png)]
    page = small_page(tmp_path, monkeypatch, cells)
    assert (page.title, page.subtitle, page.module) == ('Title', 'subtitle', 'semids.small')
    codes = [c for c in page.cells if c.cell_type=='code']
    tags = {c.source.split('\n')[0]:list(c.metadata.tags) for c in codes}
    assert tags == {'import math':['hide-input'], 'quiet = 1':['remove-input'],
                    'loud = 1':['remove-output'], 'folded = 1':['hide-input'], 'slow = 1':[],
                    'def f(':['hide-input'], 'plot()':[]}
    prompts = [c.metadata.mystnb.get('code_prompt_show') for c in codes]
    assert prompts[0]=='Imports' and codes[0].source=='import math\nfrom math import (\n    pi)'
    assert 'Source' in prompts
    callout,shown = [c.source for c in page.cells if c.cell_type=='markdown']
    callout = site_build.callouts(callout, 'small.ipynb')
    assert callout==(':::{admonition} Heading\n:class: tip\n\n\ninside\n:::\n\n'
                     ':::{note}\nplain\n:::')
    assert '{py:function} f(a=None, *rest) -> str' in shown
    assert '| **returns** | `str` |  | a word |' in shown
    assert r'| `a` | `int \| None` | `None` | the first \| the last |' in shown
    assert len(page.faults)==1 and page.faults[0].startswith(f'small.ipynb cell {cells[-1].id}')
    assert list(page.sources({}))==['semids.small.f']

SVG = ('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" viewBox="0 0 9 9">'
       '<style>* {color: red}</style><title>tip</title><path id="a" style="fill: #ffffff"/>\n\n'
       '<use xlink:href="#a" clip-path="url(#a)"/></svg>')

def test_pictures_are_part_of_the_page(tmp_path, monkeypatch):
    "SVG of cells and of files: described, with names of their own, without rules for the page"
    (tmp_path/'images').mkdir()
    (tmp_path/'images/x.svg').write_text(SVG)
    output = nbformat.v4.new_output('display_data', {'image/svg+xml':SVG, 'text/plain':'<Figure>'})
    cells = [text('# Title'), text('before\n\n![what is to be seen here](images/x.svg)\n\nafter'),
             code('#| fig-alt: "a <line> rises"\nplot()', outputs=[output])]
    page = small_page(tmp_path, monkeypatch, cells)
    drawn,plotted = page.cells[0].source,page.cells[1].outputs[0].data['text/html']
    assert 'aria-label="what is to be seen here"' in drawn and 'id="small-1-a"' in drawn
    assert 'aria-label="a &lt;line&gt; rises"' in plotted and 'role="img"' in plotted
    assert 'href="#small-2-a"' in plotted and 'url(#small-2-a)' in plotted
    for picture in (drawn, plotted):
        assert not re.search('<style|<title|<[?]xml|xlink', picture)
        assert '\n\n' not in picture[picture.index('<svg'):picture.index('</svg')]
    missing = [text('# Title'), text('![what is to be seen here](images/y.svg)')]
    with pytest.raises(ValueError, match='there is no images/y.svg'):
        small_page(tmp_path, monkeypatch, missing)

PLOT = """
import io, sys
import matplotlib
matplotlib.use('agg')
import matplotlib.pyplot as plt
sys.path.insert(0, 'nbs')
from _svg import from_matplotlib
fig,ax = plt.subplots(figsize=(10, 3))
ax.plot([1,2,3], label='line')
ax.text(1, 2, '0.123456', family='monospace')
ax.scatter([1], [2], c='black')
ax.legend()
out = io.BytesIO()
fig.canvas.print_figure(out, format='svg', bbox_inches='tight')
print(from_matplotlib(out.getvalue().decode()))
"""

def test_figures_take_the_colour_of_the_page():
    "What _run.py stores: the same twice, in the page's ink and fonts, one unit a pixel"
    from os import environ
    env = environ | dict(MATPLOTLIBRC=str(root/'nbs/_site/matplotlibrc'))
    def draw():
        done = subprocess.run([sys.executable, '-c', PLOT], cwd=root, env=env, check=True,
                              capture_output=True, text=True)
        return done.stdout
    svg = draw()
    assert svg==draw()
    assert 'currentColor' in svg and '>0.123456<' in svg and 'ui-monospace' in svg
    assert not re.search('#000000|#0a0b0c|DejaVu|<metadata|<style|xlink|font-size: (?!12px)', svg)
    width = int(re.search(r'width="(\d+)"', svg)[1])
    assert 680<width<=760
    # alone, in a README, it asks the system of the reader
    alone = with_schemes(svg)
    assert alone.count('prefers-color-scheme: dark')==1 and with_schemes(alone)==alone

def test_a_second_run_stores_the_same(tmp_path):
    "_run.py: figures as SVG, without dates; progress bars and warnings are dropped"
    plot = 'import matplotlib.pyplot as plt\nplt.plot([1,2]);'
    cells = [text('# Title'), code(plot), code('import sys\nprint(1, file=sys.stderr)\nprint(2)')]
    path = tmp_path/'small.ipynb'
    kernel = dict(display_name='python3', language='python', name='python3')
    nb = nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=kernel))
    nbformat.write(nb, path)
    stored = []
    for _ in range(2):
        command = [sys.executable, root/'nbs/_run.py', path]
        subprocess.run(command, check=True, capture_output=True)
        stored.append(path.read_bytes())
    assert stored[0]==stored[1]
    _,figure,printed = nbformat.read(path, as_version=4).cells
    assert 'currentColor' in ''.join(figure.outputs[0].data['image/svg+xml'])
    assert [o.text for o in printed.outputs]==['2\n']

# ---- in the browser

FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
         '--hide-scrollbars', '--no-first-run', '--remote-debugging-port=0']

class Browser:
    "Headless Chromium, spoken to over the DevTools protocol"
    def __init__(self):
        import websocket
        self.folder = tempfile.mkdtemp()
        self.sent = 0
        self.events = []
        self.session = None
        command = [CHROMIUM, *FLAGS, f'--user-data-dir={self.folder}', 'about:blank']
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        number,path = self.port()
        self.socket = websocket.create_connection(f'ws://127.0.0.1:{number}{path}',
                                                  suppress_origin=True, timeout=60)
        tab = self('Target.createTarget', url='about:blank')['targetId']
        attached = self('Target.attachToTarget', targetId=tab, flatten=True)
        self.session = attached['sessionId']
        for domain in ('Page','Runtime','Log','Network'): self(f'{domain}.enable')
        self('Network.setCacheDisabled', cacheDisabled=True)

    def port(self):
        "Where it listens, once it has written that down"
        file = Path(self.folder)/'DevToolsActivePort'
        deadline = time.time()+30
        while not (file.exists() and len(file.read_text().split())==2):
            if time.time()>deadline: raise TimeoutError('Chromium did not start')
            time.sleep(.1)
        return file.read_text().split()

    def __call__(self, method, **params):
        self.sent += 1
        message = dict(id=self.sent, method=method, params=params)
        if self.session: message['sessionId'] = self.session
        self.socket.send(json.dumps(message))
        while (reply := json.loads(self.socket.recv())).get('id')!=self.sent:
            self.events.append(reply)
        if 'error' in reply: raise RuntimeError(reply['error'])
        return reply['result']

    def js(self, expression):
        reply = self('Runtime.evaluate', expression=expression, awaitPromise=True,
                     returnByValue=True)
        if 'exceptionDetails' in reply: raise RuntimeError(reply['exceptionDetails'])
        return reply['result'].get('value')

    def look(self, width=WIDTH, dark=False, media=''):
        self('Emulation.setDeviceMetricsOverride', width=width, height=900, deviceScaleFactor=1,
             mobile=width<600)
        scheme = dict(name='prefers-color-scheme', value='dark' if dark else 'light')
        self('Emulation.setEmulatedMedia', media=media, features=[scheme])

    def open(self, url):
        "Load a page to the end, formulas and fonts included"
        self.look()
        self('Page.navigate', url='about:blank')
        self.js('1')
        self.events.clear()
        self('Page.navigate', url=url)
        while not any(e['method']=='Page.loadEventFired' for e in self.events):
            self.events.append(json.loads(self.socket.recv()))
        self.js('Promise.all([window.MathJax?.startup?.promise, document.fonts.ready])'
                '.then(() => new Promise(done => setTimeout(done, 50)))')

    def of(self, method): return [e['params'] for e in self.events if e.get('method')==method]

    def complaints(self):
        "Errors and warnings on the console, exceptions, failed requests"
        logged = [e['entry'] for e in self.of('Log.entryAdded')]
        called = [e for e in self.of('Runtime.consoleAPICalled')]
        return ([e['text'] for e in logged if e['level'] in ('error','warning')] +
                [str(e['args']) for e in called if e['type'] in ('error','warning','assert')] +
                [e['exceptionDetails']['text'] for e in self.of('Runtime.exceptionThrown')] +
                [e['errorText'] for e in self.of('Network.loadingFailed')])

    def requests(self): return [e['request']['url'] for e in self.of('Network.requestWillBeSent')]

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

@pytest.fixture(scope='session')
def browser():
    browser = Browser()
    yield browser
    browser.close()

@pytest.fixture(scope='session')
def address(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    handler = functools.partial(Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()

FORMULAS = """['span.math, div.math', 'mjx-container', 'mjx-merror']
    .map(s => document.querySelectorAll(s).length)"""
# boxes of code and of what it shows that are wider or higher than what is seen of them
CUT = """[...document.querySelectorAll('pre')]
    .filter(p => p.scrollWidth > p.clientWidth || p.scrollHeight > p.clientHeight + 1)
    .map(p => p.textContent.slice(0, 80))"""
OPEN = "document.querySelectorAll('details').forEach(d => { d.open = true })"
# how far the current page of the sidebar lies outside the window
SIDEBAR = """(() => { const c = document.querySelector('.sidebar-tree .current-page');
    if (!c) return 0;
    const {top, bottom} = c.getBoundingClientRect();
    return Math.max(0, -top, bottom - innerHeight); })()"""
BUTTONS = """[...document.querySelectorAll('.copybtn')].slice(0, 3).map(b => {
    b.style.transition = 'none';
    b.focus({focusVisible: true});
    return getComputedStyle(b).opacity })"""
INK = """[...document.querySelectorAll('figure.picture text')].slice(0, 1)
    .map(t => getComputedStyle(t).color + getComputedStyle(t).fill)"""
GROUND = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"

def axe(browser, rules, name):
    "What axe-core finds wrong"
    # code and formulas are coloured alike everywhere: one page stands for them
    left_out = [] if name=='00_sasrec.html' else [['pre'],['mjx-container']]
    call = f"axe.run({json.dumps(dict(exclude=left_out))}, "
    call += f"{{resultTypes: ['violations'], runOnly: {rules}}})"
    return browser.js(call + '.then(r => r.violations.flatMap(v => v.nodes.map('
                             'n => `${v.id}: ${n.html.slice(0, 200)} ${n.failureSummary}`)))')

@pytest.fixture(scope='session')
def visits(browser, address, pages):
    "What was found on each page: in the light, in the dark, on a phone, on paper"
    from axe_core_python.base import AXE_SCRIPT
    found = {}
    for name in pages:
        browser.open(address+name)
        visit = found[name] = dict(complaints=browser.complaints(), requests=browser.requests())
        loaded = browser.of('Network.loadingFinished')
        visit['weight'] = sum(e['encodedDataLength'] for e in loaded)
        visit['formulas'] = browser.js(FORMULAS)
        visit['sidebar'] = browser.js(SIDEBAR)
        visit['buttons'] = browser.js(BUTTONS)
        visit['copied outputs'] = browser.js(
            "document.querySelectorAll('.cell_output .copybtn').length")
        visit['ink'] = browser.js(INK)
        browser.js(AXE_SCRIPT+';0')
        visit['light'] = axe(browser, ['wcag2a','wcag2aa'], name)
        browser.js(OPEN)
        visit['cut'] = browser.js(CUT)
        browser.look(width=390, dark=True)
        visit['dark'] = axe(browser, ['color-contrast'], name)
        visit['width'] = browser.js('document.documentElement.scrollWidth')
        visit['ground'] = browser.js(GROUND)
        visit['dark ink'] = browser.js(INK)
        browser.look(width=800, media='print')
        visit['cut on paper'] = browser.js(CUT)
        visit['skip on paper'] = browser.js(
            "document.querySelector('.skip-to-content')?.getClientRects().length || 0")
    return found

def faults(visits, what): return {name:visit[what] for name,visit in visits.items() if visit[what]}

@needs_chromium
def test_no_complaints_and_no_other_host(visits, address):
    assert not faults(visits, 'complaints')
    for name,visit in visits.items():
        ours = (address, 'data:')
        assert not [url for url in visit['requests'] if not url.startswith(ours)], name

@needs_chromium
def test_nothing_is_cut(visits):
    "At 1280 pixels no line of code and no output leaves its box; on paper neither"
    assert not faults(visits, 'cut')
    assert not faults(visits, 'cut on paper')
    assert not faults(visits, 'skip on paper')

@needs_chromium
def test_the_current_page_is_in_sight(visits): assert not faults(visits, 'sidebar')

@needs_chromium
def test_copy_buttons(visits):
    "They are seen where they have the focus, and outputs have none"
    assert not faults(visits, 'copied outputs')
    assert all(set(visit['buttons'])<={'1'} for visit in visits.values())
    assert visits['00_sasrec.html']['buttons']

@needs_chromium
def test_pictures_change_their_ink(visits):
    drawn = {name:visit for name,visit in visits.items() if visit['ink']}
    assert drawn
    assert not [name for name,visit in drawn.items() if visit['ink']==visit['dark ink']]

@needs_chromium
def test_light_enough(visits):
    "A page with everything that it loads, uncompressed: pictures, styles and scripts, MathJax too"
    weights = {name:visit['weight'] for name,visit in visits.items()}
    assert max(weights.values())<LIMIT, weights

@needs_chromium
def test_formulas_are_drawn(visits):
    for name,visit in visits.items():
        wanted,drawn,wrong = visit['formulas']
        assert wanted==drawn and not wrong, name
    assert visits['01_rqvae.html']['formulas'][1]>5

@needs_chromium
def test_accessible(visits):
    "axe-core: its rules of WCAG 2 A and AA in the light, contrast again in the dark"
    assert not faults(visits, 'light')
    assert not faults(visits, 'dark')

@needs_chromium
def test_phone_and_dark(visits):
    assert all(visit['width']<=390 for visit in visits.values())
    assert all(max(visit['ground'][:3])<60 for visit in visits.values())

@needs_chromium
def test_pages_open_from_disk(browser, site, pages):
    for name in pages:
        browser.open((site/name).as_uri())
        assert not browser.complaints(), name
        assert not [url for url in browser.requests() if not url.startswith(('file:', 'data:'))]

# ---- search: a query, and what is among its first results

QUERIES = [
    ('beam_search', 1, '04_beam_search.html#semids.beam_search.beam_search'),
    ('RQVAE', 1, '01_rqvae.html#semids.rqvae.RQVAE'),
    ('trie', 1, '04_beam_search.html#semids.beam_search.Trie'),
    ('Interactions.write', 1,
     'foundations/interactions.html#semids.interactions.Interactions.write'),
    ('recommend', 1, 'recommender.html#semids.recommender.Recommender.recommend'),
    ('recommend()', 1, 'recommender.html#semids.recommender.Recommender.recommend'),
    ('export to Hugging Face', 1, 'beyond/hugging_face.html'),
    ('how do I use my own data', 1, 'how_to/own_data.html'),
    ('cold start', 1, 'how_to/new_items.html'),
    ('why is decoding slow?', 1, 'how_to/slow_decoding.html'),
    ('collision', 1, '02_semantic_ids.html#collisions'),
    ('collision', 5, 'how_to/collisions.html'),
    ('TensorBoard', 3, 'foundations/training.html'),
    ('torchrun', 1, 'how_to/processes.html'),
    ('tune', 3, 'settings.html'),
    ('latency', 3, 'results/speed.html'),
    ('HR@10', 3, 'foundations/evaluation.html'),
    ('tokenizer', 3, '02_semantic_ids.html'),
    ('license', 3, 'index.html'),
    ('pandas', 3, 'foundations/interactions.html'),
    ('filter by stock', 1, '04_beam_search.html#constraints'),
    ('LETTER', 3, 'beyond/exchange.html')]

@needs_chromium
def test_search(browser, site):
    browser.open(f'{site.as_uri()}/search.html?q=trie')
    assert not browser.complaints()
    lacking = []
    for query,among,address in QUERIES:
        found = browser.js(f"field.value = {json.dumps(query)}; search(); "
                           "[...document.querySelectorAll('#search-results a')]"
                           ".map(a => a.getAttribute('href') + ' ' + a.textContent)")
        if not any(address in result for result in found[:among]):
            lacking.append(f'{query}: {found[:3]}')
    assert not lacking, '\n'.join(lacking)

@needs_chromium
@pytest.mark.parametrize('query', ['GPU', 'cuda', 'resume', 'dataset', 'image', 'deterministic',
                                   'business rules', 'hugging face'])
def test_search_finds_something(browser, site, query):
    browser.open(f'{site.as_uri()}/search.html?q={query}')
    assert browser.js("document.querySelectorAll('#search-results li').length")>0

@needs_chromium
def test_whole_words_come_first(browser, site):
    "`version` is no part of Conversion"
    browser.open(f'{site.as_uri()}/search.html?q=version')
    found = browser.js("[...document.querySelectorAll('#search-results a')]"
                       ".map(a => a.textContent)")
    assert not [heading for heading in found if 'onversion' in heading]

# ---- the explorer: what it shows, beside `beam_search`

EXPLORER = '04_beam_search.html'
EXPLORER_LIMIT = 40_000 # bytes of all that its cell stores

def test_the_explorer_is_small_and_the_same_on_both_pages():
    on_page,at_home = [stored(root/f'nbs/{name}.ipynb') for name in ('04_beam_search', 'index')]
    assert on_page==at_home, 'run the cell of index.ipynb that shows what 04_beam_search stores'
    assert sum(len(text.encode()) for text in on_page.values())<EXPLORER_LIMIT
    assert not re.search(r'https?://(?!www\.w3\.org)|\bimport\b|src=', on_page['text/html'])

def test_what_moves_has_a_picture(tmp_path, monkeypatch):
    "HTML beside SVG: where scripts are off the picture is shown, described"
    both = nbformat.v4.new_output('display_data', {'text/html':'<p>moves</p>', 'image/svg+xml':SVG})
    cells = [text('# Title'), code('#| fig-alt: "a line that rises"\nmove()', outputs=[both])]
    page = small_page(tmp_path, monkeypatch, cells)
    html = page.cells[-1].outputs[0].data['text/html']
    assert html.startswith('<p>moves</p><noscript><figure') and 'a line that rises' in html

class Oracle:
    "The shop's rule, and what `beam_search` makes of it"
    def __init__(self):
        self.shop = toy_shop()
        item_ids = self.shop.interactions.item_ids
        self.codes_NM = read_ids(root/'nbs/shop/semantic_ids.json', 16).rows_for(item_ids)
        self.titles = [text.split(',')[0] for text in self.shop.texts]
        catalogue = draw_catalogue(np.random.default_rng(0))
        weight = dict(zip(catalogue.names(), catalogue.weight_N))
        self.popular_N = torch.tensor([weight[item] for item in item_ids]).double()

    def ask(self, history, seen, arrivals):
        "(N,) probabilities of all items, and which of them may come out"
        rows = [self.titles.index(title) for title in history]
        p_N = torch.from_numpy(self.shop.rule_NN[rows[-1]]) if rows else self.popular_N
        allowed_N = torch.from_numpy(self.shop.arrivals_N) if arrivals else torch.ones(240).bool()
        if seen: allowed_N = allowed_N.index_fill(0, torch.tensor(rows).long(), False)
        return p_N/p_N.sum(), allowed_N

    def below(self, p_N, prefix):
        "The probability of all items that begin with a prefix"
        begins_N = (self.codes_NM[:,:len(prefix)]==torch.tensor(prefix)).all(1)
        return p_N[begins_N].sum().item()

    def kept(self, p_N, allowed_N, W, m):
        "The best prefixes of m codes with their probabilities: of a trie that is m levels deep"
        codes_Nm = self.codes_NM[:,:m]
        prefix_Pm,which_N = codes_Nm.unique(dim=0, return_inverse=True)
        allowed_P = torch.zeros(len(prefix_Pm)).index_add(0, which_N, allowed_N.float())>0
        trie = Trie(prefix_Pm)
        def next_scores(prefix_BWm, parent_BW):
            depth = prefix_BWm.shape[2]
            below_WN = (codes_Nm[:,:depth]==prefix_BWm[0,:,None]).all(-1)
            p_WK = (below_WN*p_N)@F.one_hot(codes_Nm[:,depth], 16).double()
            return p_WK.clamp(min=1e-30).log()[None]
        rules = Constraints(trie, allowed_N=allowed_P)
        found_Bk,logp_Bk = beam_search(next_scores, trie, 1, W, W, rules)
        there = found_Bk[0]>=0
        prefixes = map(tuple, prefix_Pm[found_Bk[0,there]].tolist())
        return dict(zip(prefixes, logp_Bk[0,there].exp().tolist()))

SET = """((history, beams, seen, arrivals) => {
    const part = name => document.querySelector('.explorer ' + name);
    const set = (field, value) => {
        field.value = value;
        field.dispatchEvent(new Event('input'));
    };
    while (part('.history button')) part('.history button').click();
    for (const text of history) set(part('.add'), text);
    set(part('.beams'), beams);
    if (part('.seen').checked !== seen) part('.seen').click();
    if (part('.arrivals').checked !== arrivals) part('.arrivals').click(); })"""
COLUMNS = """[...document.querySelectorAll('.explorer section')].map(section =>
    [...section.querySelectorAll('li')].map(li => [li.className === 'kept', li.textContent]))"""
FOUND = "document.querySelector('.explorer .found').textContent"
CHIPS = "[...document.querySelectorAll('.explorer .history li')].map(li => li.textContent)"

RANKED = r'(.*?)( \(new\))? ([\d.]+)% (?:cut at level )?(.*)'
LOST = r'(.*): (.*) \([\d.]+%\) was cut at level (.),'

def prefix_and_share(shown):
    "From `2 14 <c_12> 20.7% ...` to ((2, 14, 12), .207, half of the last digit)"
    before,code,percent = re.search(r'([\d ]*)<[a-d]_(\d+)> ([\d.]+)%', shown).groups()
    digits = len(percent.partition('.')[2])
    return (*map(int, before.split()), int(code)), float(percent)/100, .0051/10**digits

CASES = [
    (['echo pine primer'], 1, True, False), (['echo pine primer'], 3, True, False),
    (['alba mint primer'], 3, False, False), (['alba cedar polish'], 2, True, False),
    (['echo fig lotion', 'boreal rose scrub'], 4, True, False),
    (['alba cedar foundation', 'echo pine primer'], 2, True, False),
    (['dune honey perfume', 'clio mint cologne', 'boreal musk mist'], 7, True, False),
    (['clio coco candle'], 3, True, True), (['echo pine primer'], 16, True, True),
    ([], 5, True, False)]

@needs_chromium
@pytest.mark.parametrize('page', [EXPLORER, 'index.html'])
def test_the_explorer_is_beam_search(browser, site, page):
    "Every level, every probability, every item that was lost: as Python finds them"
    browser.open((site/page).as_uri())
    oracle = Oracle()
    outcomes = []
    for history,W,seen,arrivals in CASES:
        browser.js(f'{SET}({json.dumps(history)}, {W}, {json.dumps(seen)}, {json.dumps(arrivals)})')
        assert browser.js(CHIPS)==[f'{title} ×' for title in history]
        p_N,allowed_N = oracle.ask(history, seen, arrivals)
        kept = [oracle.kept(p_N, allowed_N, W, m) for m in (1,2,3,4)]
        *levels,ranking = browser.js(COLUMNS)
        for wanted,rows in zip(kept, levels, strict=True):
            shown = [prefix_and_share(row) for is_kept,row in rows if is_kept]
            cut = [prefix_and_share(row) for is_kept,row in rows if not is_kept]
            assert {prefix for prefix,_,_ in shown}==set(wanted)
            for prefix,share,accuracy in shown: assert abs(share-wanted[prefix])<accuracy
            for prefix,share,accuracy in cut: assert abs(share-oracle.below(p_N, prefix))<accuracy
            # else it would be by chance who is kept
            assert not cut or oracle.below(p_N, cut[0][0])<.999*min(wanted.values()), 'a tie'
        # every item; equal ones may stand in any order
        best_N = p_N.masked_fill(~allowed_N, 0).sort(descending=True)
        def lost_at(title):
            codes = tuple(oracle.codes_NM[oracle.titles.index(title)].tolist())
            return next((level for m,level in enumerate('abcd') if codes[:m+1] not in kept[m]), '')
        for (is_kept,row),p in zip(ranking, best_N.values.tolist()):
            title,_,percent,lost = re.match(RANKED, row).groups()
            assert float(percent)/100==pytest.approx(p, abs=.00051)
            assert p_N[oracle.titles.index(title)].item()==pytest.approx(p, rel=1e-9)
            assert lost==lost_at(title) and is_kept==(not lost)
        # the sentence
        good_N = allowed_N & (p_N>=best_N.values[W-1]*(1-1e-9))
        fates = [lost_at(oracle.titles[n]) for n in good_N.nonzero()[:,0].tolist()]
        hits = min(fates.count(''), W)
        outcomes.append(W-hits)
        sentence = browser.js(FOUND)
        if hits==W: assert re.fullmatch(rf'{W} beams? finds? the (\d+ )?best items?\.', sentence)
        else:
            found,title,level = re.match(LOST, sentence).groups()
            assert title in oracle.titles and level==lost_at(title)
            assert W==1 or found==f'{W} beams find {hits} of the {W} best items'
    assert 0 in outcomes and len(set(outcomes))>1
    assert not browser.complaints()
    assert all(url.startswith(('file:', 'data:')) for url in browser.requests())

@needs_chromium
def test_what_is_said_of_the_explorer_is_so(browser, site):
    "Three beams lose the second best item at level b, five find the five best"
    browser.open((site/'index.html').as_uri())
    assert browser.js(FOUND).startswith('3 beams find 2 of the 3 best items')
    assert 'cut at level b, where its beginning came in place 4' in browser.js(FOUND)
    browser.js(SET+"(['echo pine primer'], 5, true, false)")
    assert browser.js(FOUND)=='5 beams find the 5 best items.'

def press(browser, key, code):
    for kind in ('rawKeyDown', 'keyUp'):
        browser('Input.dispatchKeyEvent', type=kind, key=key, code=key, windowsVirtualKeyCode=code)

@needs_chromium
def test_the_explorer_by_keyboard_on_a_phone(browser, site):
    "Typed, chosen, taken back, moved: without a mouse, and nothing leaves the window"
    browser.open((site/EXPLORER).as_uri())
    browser.look(width=390)
    def write(words): browser('Input.insertText', text=words)
    assert browser.js("document.querySelector('.explorer .found').role")=='status'
    browser.js("document.querySelector('.explorer .add').focus()")
    write('Dune honey perfume')
    assert browser.js(CHIPS)==['echo pine primer ×', 'dune honey perfume ×']
    write('cologne lily')
    press(browser, 'Enter', 13)
    alike = [title for title in Oracle().titles if 'lily cologne' in title]
    invalid = browser.js("document.querySelector('.explorer .add').validationMessage")
    assert len(alike)==1 and not invalid and browser.js(CHIPS)[-1]==f'{alike[0]} ×'
    write('alba')
    press(browser, 'Enter', 13)
    several = browser.js("document.querySelector('.explorer .add').validationMessage")
    assert 'which one?' in several
    for _ in 'alba': press(browser, 'Backspace', 8)
    press(browser, 'Backspace', 8)
    assert browser.js(CHIPS)==['echo pine primer ×', 'dune honey perfume ×']
    press(browser, 'Tab', 9)
    press(browser, 'ArrowRight', 39)
    assert browser.js(FOUND).startswith('4 beams')
    press(browser, 'Tab', 9)
    assert browser.js("document.activeElement.className")=='seen'
    assert browser.js('document.documentElement.scrollWidth')<=390
    assert not browser.complaints()

@needs_chromium
@pytest.mark.parametrize('page', [EXPLORER, 'index.html'])
def test_the_explorer_without_scripts(browser, site, page):
    "The picture is there, with its description, and no control that does nothing"
    browser('Emulation.setScriptExecutionDisabled', value=True)
    try:
        browser('Page.navigate', url=(site/page).as_uri())
        deadline = time.time()+30
        while not browser.js("document.readyState==='complete' && !!document.querySelector('svg')"):
            assert time.time()<deadline
        seen = browser.js("""(() => {
            const shown = s => document.querySelector(s).getClientRects().length > 0;
            const figure = document.querySelector('.explorer ~ noscript svg, noscript svg');
            return [shown('.explorer form'), figure.getBoundingClientRect().width,
                    figure.getAttribute('aria-label')]; })()""")
    finally: browser('Emulation.setScriptExecutionDisabled', value=False)
    assert seen[0] is False and seen[1]>300 and 'second best item' in seen[2]
