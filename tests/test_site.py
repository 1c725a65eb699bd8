"The documentation site: built twice, read as files, and opened in headless Chromium over a static server and from disk."
import ast, functools, http.server, importlib.util, json, posixpath, re, shutil, subprocess, sys, tempfile, threading, time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

root = Path(__file__).parents[1]
LIMIT = 1.5*2**20 # bytes of a page with all that it loads
CHROMIUM = next(filter(None, map(shutil.which, ('chromium','chromium-browser','google-chrome'))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed')

class Reader(HTMLParser):
    "What a page links to, loads and names"
    def __init__(self, path):
        super().__init__()
        self.links,self.loads,self.ids,self.images,self.sidebar,self.next = [],[],set(),[],[],None
        self.feed(path.read_text(encoding='utf-8'))
    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if 'id' in attrs: self.ids.add(attrs['id'])
        if tag=='a' and 'href' in attrs: self.links.append(attrs['href'])
        if attrs.get('class')=='next-page': self.next = attrs['href']
        if tag in ('script','img','iframe') and 'src' in attrs: self.loads.append(attrs['src'])
        if tag=='link' and attrs.get('rel') in ('stylesheet','icon','preload'): self.loads.append(attrs['href'])
        if tag=='img': self.images.append(attrs)
        if tag=='li' and 'toctree-l1' in attrs.get('class', ''): self.sidebar.append(len(self.links))

@pytest.fixture(scope='session')
def build(tmp_path_factory):
    "The site, built twice: two folders, and the seconds of the slower build"
    outs,seconds = [tmp_path_factory.mktemp('site')/'docs' for _ in range(2)],[]
    for out in outs:
        start = time.time()
        subprocess.run([sys.executable, root/'nbs/_site/build.py', '--out', out], check=True)
        seconds.append(time.time()-start)
    return outs,max(seconds)

@pytest.fixture(scope='session')
def site(build): return build[0][0]

@pytest.fixture(scope='session')
def pages(site): return {p.relative_to(site).as_posix():Reader(p) for p in sorted(site.rglob('*.html'))}

def test_fast_and_byte_identical(build):
    (a,b),seconds = build
    assert seconds<60
    files = [{p.relative_to(d).as_posix():p.read_bytes() for p in d.rglob('*') if p.is_file()} for d in (a,b)]
    assert files[0]==files[1]

def test_links_and_anchors_resolve(site, pages):
    dead = []
    for name,page in pages.items():
        for link in page.links + page.loads:
            url = urlsplit(link)
            if url.scheme in ('http','https'): continue
            target = (site/name).parent/unquote(url.path) if url.path else site/name
            anchors = pages[target.resolve().relative_to(site.resolve()).as_posix()].ids | {''} if target.suffix=='.html' and target.exists() else None
            if not target.exists() or anchors is not None and unquote(url.fragment) not in anchors: dead.append(f'{name}: {link}')
    assert not dead

def test_nothing_is_loaded_from_elsewhere(pages):
    assert not [(name, load) for name,page in pages.items() for load in page.loads if urlsplit(load).netloc]

def test_pictures_have_alt_text(pages):
    pictures = [(name, image) for name,page in pages.items() for image in page.images]
    assert pictures and all(len(image.get('alt') or '')>15 for _,image in pictures)

def test_reading_order(pages):
    home = pages['index.html']
    order = [home.links[i] for i in home.sidebar]
    notebooks = sorted(p.relative_to(root/'nbs').with_suffix('.html').as_posix() for p in (root/'nbs').rglob('*.ipynb')
                       if not any(part[0] in '._' for part in p.relative_to(root/'nbs').parts))
    folder = lambda name: ('' if '/' not in name else name.split('/')[0], name)
    assert order==['#'] + sorted((n for n in notebooks if n!='index.html'), key=folder) + ['glossary.html','bibliography.html','genindex.html']
    walked = ['index.html']
    while following := pages[walked[-1]].next: walked.append(posixpath.normpath(posixpath.join(posixpath.dirname(walked[-1]), following)))
    assert walked==['index.html']+order[1:-1]

def test_every_export_has_an_entry(pages):
    names = {f'semids.{p.stem}.{name}' for p in (root/'semids').glob('[a-z]*.py') for node in ast.parse(p.read_text(encoding='utf-8')).body
             if isinstance(node, ast.Assign) and node.targets[0].id=='__all__' for name in ast.literal_eval(node.value) if name[0]!='_' and name.upper()!=name}
    assert names and not names - set().union(*(page.ids for page in pages.values()))

def test_names_in_prose_link_to_their_entries(pages):
    assert '04_beam_search.html#semids.beam_search.beam_search' in pages['glossary.html'].links
    assert any(link.startswith('bibliography.html#ref-arxiv-org-abs-1808-09781') for link in pages['00_sasrec.html'].links)

def test_cell_options(tmp_path, monkeypatch):
    "Hidden cells, Quarto's options, callouts, `show_doc`, and a picture without a description"
    import nbformat
    spec = importlib.util.spec_from_file_location('site_build', root/'nbs/_site/build.py')
    site_build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site_build)
    monkeypatch.setattr(site_build, 'nbs', tmp_path)
    png = [nbformat.v4.new_output('display_data', {'image/png':'iVBORw0KGgo='})]
    code = lambda source, outputs=(): nbformat.v4.new_code_cell(source, outputs=list(outputs))
    text = nbformat.v4.new_markdown_cell
    cells = [text('# Title\n\n> subtitle'), code('#| default_exp small'), code('#| hide\nsecret = 1'), code('#| include: false\nsecret = 2'),
             code('#| echo: false\nquiet = 1'), code('#| output: false\nloud = 1'), code('#| code-fold: true\nfolded = 1'), code('#| slow\nslow = 1'),
             code('#| export\ndef f(\n    a:int|None=None, # the first | the last\n    *rest, # others\n)->str: # a word\n    "Does it"'),
             text('::: {.callout-tip}'), text('## Heading\n\ninside\n:::\n\n::: {.callout-note}\nplain\n:::'), code('show_doc(f)'),
             code('#| fig-alt: "described: well"\n#| fig-cap: caption\nplot()', png), code('plot()', png)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path/'small.ipynb')
    page = site_build.Page(tmp_path/'small.ipynb', {})
    assert (page.title,page.subtitle,page.module) == ('Title','subtitle','semids.small')
    codes = {c.source:c.metadata for c in page.cells if c.cell_type=='code'}
    assert {source:list(m.tags) for source,m in codes.items()} == {'quiet = 1':['remove-input'], 'loud = 1':['remove-output'],
                                                                   'folded = 1':['hide-input'], 'slow = 1':[], 'plot()':[]}
    callout,shown = [c.source for c in page.cells if c.cell_type=='markdown']
    assert callout==':::{admonition} Heading\n:class: tip\n\n\ninside\n:::\n\n:::{note}\nplain\n:::'
    assert '{py:function} f(a=None, *rest) -> str' in shown and '| **returns** | `str` |  | a word |' in shown
    assert r'| `a` | `int \| None` | `None` | the first \| the last |' in shown
    assert page.lacking==[f'small.ipynb cell {cells[-1].id}'] and list(page.sources)==['semids.small.f']

def test_directives_and_divs_are_not_shown(site):
    for page in site.rglob('*.html'): assert not re.search(r'#\||:::', re.sub(r'<[^>]+>', '', page.read_text(encoding='utf-8'))), page

# ---- in the browser

class Browser:
    "Headless Chromium, spoken to over the DevTools protocol"
    def __init__(self):
        import websocket
        self.folder,self.sent,self.events,self.session = tempfile.mkdtemp(),0,[],None
        flags = ['--headless=new','--no-sandbox','--disable-gpu','--disable-dev-shm-usage','--hide-scrollbars','--no-first-run','--remote-debugging-port=0']
        self.process = subprocess.Popen([CHROMIUM, *flags, f'--user-data-dir={self.folder}', 'about:blank'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port,deadline = Path(self.folder)/'DevToolsActivePort',time.time()+30
        while not (port.exists() and len(port.read_text().split())==2):
            if time.time()>deadline: raise TimeoutError('Chromium did not start')
            time.sleep(.1)
        number,path = port.read_text().split()
        self.socket = websocket.create_connection(f'ws://127.0.0.1:{number}{path}', suppress_origin=True, timeout=60)
        tab = self('Target.createTarget', url='about:blank')['targetId']
        self.session = self('Target.attachToTarget', targetId=tab, flatten=True)['sessionId']
        for domain in ('Page','Runtime','Log','Network'): self(f'{domain}.enable')
        self('Network.setCacheDisabled', cacheDisabled=True)

    def __call__(self, method, **params):
        self.sent += 1
        self.socket.send(json.dumps(dict(id=self.sent, method=method, params=params) | (dict(sessionId=self.session) if self.session else {})))
        while (reply := json.loads(self.socket.recv())).get('id')!=self.sent: self.events.append(reply)
        if 'error' in reply: raise RuntimeError(reply['error'])
        return reply['result']

    def js(self, expression):
        reply = self('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in reply: raise RuntimeError(reply['exceptionDetails'])
        return reply['result'].get('value')

    def look(self, width=1280, dark=False):
        self('Emulation.setDeviceMetricsOverride', width=width, height=900, deviceScaleFactor=1, mobile=width<600)
        self('Emulation.setEmulatedMedia', features=[dict(name='prefers-color-scheme', value='dark' if dark else 'light')])

    def open(self, url):
        "Load a page to the end, formulas and fonts included"
        self.look()
        self('Page.navigate', url='about:blank')
        self.js('1')
        self.events.clear()
        self('Page.navigate', url=url)
        while not any(e['method']=='Page.loadEventFired' for e in self.events): self.events.append(json.loads(self.socket.recv()))
        self.js('Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => new Promise(done => setTimeout(done, 50)))')

    def of(self, method): return [e['params'] for e in self.events if e.get('method')==method]

    def complaints(self):
        "Errors and warnings on the console, exceptions, failed requests"
        return ([e['entry']['text'] for e in self.of('Log.entryAdded') if e['entry']['level'] in ('error','warning')] +
                [str(e['args']) for e in self.of('Runtime.consoleAPICalled') if e['type'] in ('error','warning','assert')] +
                [e['exceptionDetails']['text'] for e in self.of('Runtime.exceptionThrown')] + [e['errorText'] for e in self.of('Network.loadingFailed')])

    def close(self):
        self.process.kill(); self.process.wait()
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
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()

@pytest.fixture(scope='session')
def visits(browser, address, pages):
    "What was found on each page: in the light, in the dark, at the width of a phone"
    from axe_core_python.base import AXE_SCRIPT
    found = {}
    for name in pages:
        browser.open(address+name)
        visit = found[name] = dict(complaints=browser.complaints(), requests=[e['request']['url'] for e in browser.of('Network.requestWillBeSent')],
                                   weight=sum(e['encodedDataLength'] for e in browser.of('Network.loadingFinished')))
        visit['formulas'] = browser.js("['span.math, div.math', 'mjx-container', 'mjx-merror'].map(s => document.querySelectorAll(s).length)")
        browser.js(AXE_SCRIPT+';0')
        part = json.dumps(dict(exclude=[] if name=='00_sasrec.html' else [['pre'],['mjx-container']])) # code and formulas are coloured alike everywhere
        axe = lambda rules: browser.js(f"axe.run({part}, {{resultTypes: ['violations'], runOnly: {rules}}})"
                                       ".then(r => r.violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 200)} ${n.failureSummary}`)))")
        visit['light'] = axe(['wcag2a','wcag2aa'])
        browser.look(width=390, dark=True)
        visit['dark'],visit['width'] = axe(['color-contrast']),browser.js('document.documentElement.scrollWidth')
        visit['ground'] = browser.js("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    return found

@needs_chromium
def test_no_complaints_and_no_other_host(visits, address):
    for name,visit in visits.items():
        assert not visit['complaints'], name
        assert not [url for url in visit['requests'] if not url.startswith((address, 'data:'))], name

@needs_chromium
def test_light_enough(visits):
    "A page with everything that it loads, uncompressed: its pictures, styles and scripts, MathJax too"
    assert max(visit['weight'] for visit in visits.values())<LIMIT, {name:visit['weight'] for name,visit in visits.items()}

@needs_chromium
def test_formulas_are_drawn(visits):
    assert all(wanted==drawn and not wrong for wanted,drawn,wrong in (visit['formulas'] for visit in visits.values()))
    assert visits['01_rqvae.html']['formulas'][1]>5

@needs_chromium
def test_accessible(visits):
    "axe-core: its rules of WCAG 2 A and AA in the light, contrast again in the dark"
    assert not {name:visit['light']+visit['dark'] for name,visit in visits.items() if visit['light']+visit['dark']}

@needs_chromium
def test_phone_and_dark(visits):
    assert all(visit['width']<=390 and max(visit['ground'][:3])<60 for visit in visits.values())

@needs_chromium
def test_pages_open_from_disk(browser, site, pages):
    for name in pages:
        browser.open((site/name).as_uri())
        assert not browser.complaints(), name
        assert not [u for e in browser.of('Network.requestWillBeSent') if not (u := e['request']['url']).startswith(('file:', 'data:'))], name

@needs_chromium
@pytest.mark.parametrize('query,first', [('beam_search', '04_beam_search.html#semids.beam_search.beam_search'), ('collision', '02_semantic_ids.html#collisions'),
                                         ('RQVAE', '01_rqvae.html#semids.rqvae.RQVAE'), ('Interactions.write', 'foundations/data.html#semids.data.Interactions.write')])
def test_search(browser, site, query, first):
    browser.open(f'{site.as_uri()}/search.html?q={query}')
    assert browser.js("document.querySelector('#search-results a').getAttribute('href')")==first
    assert not browser.complaints()
