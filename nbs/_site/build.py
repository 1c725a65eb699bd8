"""Build the documentation site from the notebooks: nbdev's processors, then Sphinx, MyST-NB, Furo.

    python nbs/_site/build.py              # into _docs/
    python nbs/_site/build.py --out DIR

The notebooks stay plain nbdev. What nbdev leaves to Quarto is done here: cell options, callouts,
pictures, and entries for what is exported. A picture without a description, a dead link, a paper
that bibliography.md does not list, a letter that glossary.md does not explain, a notebook that
READING_ORDER does not name: each is an error.
"""
import argparse
import html
import importlib.util
import json
import re
import shutil
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

import nbformat
import yaml
from docutils import nodes
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from nbdev.processors import (clean_magics, filter_stream_, hide_, hide_line, populate_language,
                              rm_header_dash, strip_ansi)
from sphinx.addnodes import desc, desc_content, desc_signature
from sphinx.application import Sphinx

here = Path(__file__).resolve().parent
nbs = here.parent
root = nbs.parent
sys.path[:0] = [str(here), str(nbs), str(root)]
from _svg import inline
from entries import Library, definitions, described, is_public, walk
from settings_page import settings_page

ini = ConfigParser(delimiters=['='], interpolation=None)
ini.read(root/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
github = f"{cfg['git_url']}/blob/{cfg['branch']}"

# ---- the pages, in reading order: the sidebar shows it, previous and next follow it
# Tasks come first, for who has one. Who wants to learn reads on: what the steps stand on, then the
# steps. What they only use (files, settings, tables) is looked up, and stands behind them.

HOME = 'index'
READING_ORDER = {
    'How do I ...': [
        'how_to/install', 'how_to/own_data', 'how_to/beauty_download', 'how_to/new_items',
        'how_to/protocol', 'how_to/strong_sasrec', 'how_to/collisions',
        'how_to/codebook_collapse', 'how_to/slow_decoding', 'how_to/tensorboard',
        'how_to/processes', 'how_to/serve', 'how_to/movielens', 'how_to/own_parts',
        'how_to/error_messages', 'how_to/others'],
    'Foundations': [
        'foundations/toy_shop', 'foundations/interactions', 'foundations/items',
        'foundations/catalogue', 'foundations/preparation', 'foundations/splits',
        'foundations/evaluation', 'foundations/layers', 'foundations/training',
        'foundations/checkpoints'],
    'Five steps': [
        '00_sasrec', '01_rqvae', '02_semantic_ids', '03_conversion', '04_beam_search',
        '05_tiger'],
    'Run it, use it': ['recommender', 'changes', 'serve', 'sizes', 'pipeline', 'check'],
    'Beyond the papers': [
        'beyond/rq_transformer', 'beyond/neighbours', 'beyond/fusion', 'beyond/look_inside'],
    'Other software': ['beyond/hugging_face', 'beyond/exchange'],
    'Results': ['results/beauty', 'results/controls', 'results/speed', 'results/robustness'],
    'Tools': [
        'foundations/errors', 'foundations/files', 'foundations/settings', 'foundations/tables',
        'foundations/processes', 'foundations/download']}
STEPS = {'00_sasrec':1, '01_rqvae':2, '02_semantic_ids':3, '03_conversion':4, '05_tiger':5}
REFERENCE = dict(settings='Settings and commands', glossary='Letters and words',
                 bibliography='Papers', genindex='Functions and classes')

def is_hidden(path): return any(part[0] in '._' for part in path.parts)

def check_order():
    "`ValueError` if READING_ORDER and the notebooks differ"
    ordered = [HOME] + sum(READING_ORDER.values(), [])
    paths = [path.relative_to(nbs) for path in nbs.rglob('*.ipynb')]
    there = {path.with_suffix('').as_posix() for path in paths if not is_hidden(path)}
    if unlisted := sorted(there-set(ordered)):
        raise ValueError(f'not in READING_ORDER of nbs/_site/build.py: {", ".join(unlisted)}')
    if absent := [name for name in ordered if name not in there]:
        raise ValueError(f'READING_ORDER names notebooks that do not exist: {", ".join(absent)}')
    return ordered

def label(name, title):
    "A page in the sidebar: steps with their number, questions without what their caption says"
    if name in STEPS: return f'{STEPS[name]} {title}'
    return re.sub(r'^How do I ', '', title)

def toctrees(titles):
    "The sidebar"
    lines = ['```{toctree}', ':hidden:', '', 'Home <self>', '```', '']
    for caption,pages in (READING_ORDER | {'Reference':list(REFERENCE)}).items():
        entries = [f'{label(name, titles[name])} <{name}>' for name in pages]
        lines += ['```{toctree}', ':hidden:', f':caption: {caption}', '', *entries, '```', '']
    return '\n'.join(lines)

# ---- from a notebook of nbdev to one of MyST-NB

def options(source):
    "Quarto's cell options, and the source without them"
    found = re.match(r'(?:#\|.*\n?)*', source)[0]
    values = yaml.safe_load(re.sub(r'^#\| ?', '', found, flags=re.M))
    return values or {},source[len(found):].lstrip('\n')

def callouts(text, where):
    "Quarto's callouts as admonitions; a heading in one is its title"
    def admonition(m):
        kind,title,body = m[1],m[2],m[3]
        if not title: return f':::{{{kind}}}\n{body}\n:::'
        return f':::{{admonition}} {title}\n:class: {kind}\n\n{body}\n:::'
    callout = r'^::: *\{\.callout-(\w+)\}\n+(?:#+ ([^\n]*)\n)?(.*?)\n:::$'
    text = re.sub(callout, admonition, text, flags=re.M | re.S)
    if left := re.search(r'^:::+ *\{\..*', text, re.M):
        raise ValueError(f'{where}: {left[0]!r} is not a callout that is closed')
    return text

def is_imports(source):
    "Does a cell do nothing but import?"
    lines = [line for line in source.split('\n') if line.strip() and line[0]!='#']
    return bool(lines) and all(line.startswith(('import ','from ',' ',')')) for line in lines)

def is_definition(cell): return bool(cell.directives_.keys() & {'export','exports'})

META = dict(language_info=dict(name='python', pygments_lexer='python'))
PROCS = [FrontmatterProc, populate_language, strip_ansi, hide_line, filter_stream_, rm_header_dash,
         clean_magics, hide_]
SHOW_DOC = re.compile(r'^show_doc\(([\w.]+)', re.M)
SVG = 'image/svg+xml'
WIDEST = 800 # pixels: a wider picture would be made smaller, and its text with it

def text_cell(text): return nbformat.from_dict(dict(cell_type='markdown', metadata={}, source=text))

def pictures(cell):
    outputs = cell.get('outputs', [])
    return [o for o in outputs if any(mime.startswith('image/') for mime in o.get('data', {}))]

class Page:
    "One notebook: its title, its definitions, its cells for MyST-NB"
    def __init__(self, path):
        self.path = path.relative_to(nbs).as_posix()
        self.name = path.relative_to(nbs).with_suffix('').as_posix()
        self.folder = path.parent
        self.proc = NBProcessor(path, procs=PROCS)
        cells = [c for c in self.proc.nb.cells if c.cell_type=='code']
        named = [c.directives_['default_exp'][0] for c in cells if 'default_exp' in c.directives_]
        self.module = f"{cfg['lib_name']}.{named[0]}" if named else None
        self.definitions = {c.id:definitions(c.source, 'exports' in c.directives_)
                            for c in cells if is_definition(c)}
        self.asked = {m[1] for c in cells for m in SHOW_DOC.finditer(c.source)}
        self.cells,self.faults,self.drawn = [],[],0

    def convert(self, library):
        "Fill `cells` and `entries`: from a cell to what it defines for the public"
        self.entries = {id:[library.entry(d) for d in found if is_public(d.name)]
                        for id,found in self.definitions.items()}
        by_name = {e.name:e for found in self.entries.values() for e in found}
        self.proc.process()
        front = self.proc.nb.frontmatter_
        self.title = front['title']
        self.subtitle = front.get('description', '')
        for cell in self.proc.nb.cells:
            if cell.cell_type=='raw' or 'default_exp' in cell.directives_: continue
            if cell.cell_type=='markdown':
                self.markdown(cell.source)
                continue
            wanted = SHOW_DOC.findall(cell.source)
            if not wanted: self.code(cell)
            found = [by_name[name] for name in wanted]
            if not wanted:
                defined = self.entries.get(cell.get('id'), [])
                found = [e for e in defined if e.name not in self.asked]
            if found: self.cells.append(text_cell(described(found, self.module)))

    def markdown(self, source):
        "A text cell; neighbours become one, since a callout may span several"
        source = self.drawings(source)
        if self.cells and self.cells[-1].cell_type=='markdown':
            self.cells[-1].source += '\n\n'+source
        else: self.cells.append(text_cell(source))

    def picture(self, svg, alt, caption=''):
        "An SVG as a part of the page, so that it takes the page's colours"
        self.drawn += 1
        width = re.search(r'<svg[^>]*? width="(\d+)', svg)
        if not width or int(width[1])>WIDEST:
            self.faults.append(f'{self.path}: the picture "{alt[:40]} ..." is wider than the text, '
                               f'{WIDEST} pixels, or states no width')
        prefix = re.sub(r'\W', '-', f'{self.name}-{self.drawn}-')
        below = f'<figcaption>{html.escape(caption)}</figcaption>' if caption else ''
        return f'<figure class="picture">{inline(svg, alt, prefix)}{below}</figure>'

    def drawings(self, text):
        "Markdown with its SVG files in place of the links to them"
        def drawing(m):
            alt,path = m[1],self.folder/m[2]
            if not path.exists(): raise ValueError(f'{self.path}: there is no {m[2]}')
            if len(alt)<16: self.faults.append(f'{self.path}: {m[2]} has no description')
            picture = self.picture(path.read_text(encoding='utf-8'), alt)
            return f'\n````{{raw}} html\n{picture}\n````\n'
        return re.sub(r'!\[(.*?)\]\(([\w./-]+\.svg)\)', drawing, text, flags=re.S)

    def code(self, cell):
        "A code cell, with Quarto's options as MyST-NB's tags"
        opts,source = options(cell.source)
        if not source.strip() or opts.get('include', True) is False: return
        hidden = cell.directives_.keys() & {'export','exporti'}
        # what every page begins with, and what the reader need not see, is there and folded
        folded = opts.get('code-fold', False) is True
        prompt = 'Code'
        if self.module and is_imports(source): folded,prompt = True,'Imports'
        elif hidden: folded,prompt = True,'Source'
        tags = {'remove-input':opts.get('echo', True) is False, 'hide-input':folded,
                'remove-output':opts.get('output', True) is False}
        tags = [tag for tag,on in tags.items() if on]
        outputs = [] if 'remove-output' in tags else cell.outputs
        metadata = dict(tags=tags, mystnb={})
        if folded: metadata['mystnb'] = dict(code_prompt_show=prompt, code_prompt_hide=prompt)
        shows = pictures(cell) if outputs else []
        if shows: self.describe(cell, shows, opts, metadata['mystnb'])
        last = self.cells[-1] if self.cells else {}
        if prompt=='Imports' and not outputs and last.get('prompt')==prompt:
            last.source += '\n'+source
            return
        new = dict(cell_type='code', metadata=metadata, prompt=prompt, source=source,
                   outputs=outputs, execution_count=None)
        self.cells.append(nbformat.from_dict(new))

    def describe(self, cell, shows, opts, myst):
        "Pictures with their description: SVG into the page, others as files"
        alt = opts.get('fig-alt', '')
        if len(shows)>1 or not alt: self.faults.append(f'{self.path} cell {cell.id}: one picture a '
                                                       f'cell, described by `#| fig-alt: ...`')
        for output in shows:
            if SVG in output.data:
                svg = ''.join(output.data[SVG])
                shown = self.picture(svg, alt, opts.get('fig-cap', ''))
                # what moves has its picture where scripts are off
                if moving := ''.join(output.data.get('text/html', '')):
                    shown = f'{moving}<noscript>{shown}</noscript>'
                output.data = {'text/html':shown}
                continue
            myst['image'] = dict(alt=alt)
            # twice as many pixels are stored
            size = output.metadata.get('image/png', {})
            if 'width' in size: myst['image']['width'] = f"{size['width']}px"
            if 'fig-cap' in opts: myst['figure'] = dict(caption=opts['fig-cap'])

    def sources(self, first_lines):
        "From the full name of an entry to its line on GitHub"
        file = f"{github}/{self.module.replace('.', '/')}.py" if self.module else ''
        found = {}
        for id,entries in self.entries.items():
            for entry in [e for top in entries for e in walk(top)]:
                line = first_lines.get(id, 0)+entry.line
                found[f'{self.module}.{entry.name}'] = f'{file}#L{line}'
        return found

    def all_entries(self):
        "Entries of this page, methods and properties too"
        return [e for found in self.entries.values() for top in found for e in walk(top)]

    def prose(self): return '\n\n'.join(c.source for c in self.cells if c.cell_type=='markdown')

    def head(self):
        "Title, subtitle, and where this page comes from"
        links = [f'[notebook]({github}/nbs/{self.path})',
                 f"[report a mistake]({cfg['git_url']}/issues/new)"]
        if self.module:
            file = f"{self.module.replace('.', '/')}.py"
            links.insert(0, f'[`{self.module}`]({github}/{file})')
        parts = [f'# {self.title}']
        if self.subtitle: parts.append(f'{{.subtitle}}\n{self.subtitle}')
        return text_cell('\n\n'.join([*parts, '{.sources}\n'+' · '.join(links)]))

    def notebook(self):
        cells = [self.head()]+self.cells
        for cell in cells: cell.pop('prompt', None)
        return nbformat.from_dict(dict(cells=cells, metadata=META, nbformat=4, nbformat_minor=4))

def read_pages(names):
    "All pages; definitions of all notebooks are read before the first is written"
    pages = [Page(nbs/f'{name}.ipynb') for name in names]
    library = Library()
    for page in pages:
        for found in page.definitions.values():
            for definition in found: library.add(definition)
    for page in pages:
        page.convert(library)
        for cell in page.cells:
            if cell.cell_type=='markdown': cell.source = callouts(cell.source, page.path)
    return pages

# ---- letters of tensor names

NAME = re.compile(r'(?<!\w)[a-z]\w*?_([A-Z](?:[A-Z]|[a-z](?![a-z]))*)\b')
GLOSSARY_LETTER = re.compile(r'\| `(\w)` \|')

def letters_in_names(text): return {letter for m in NAME.finditer(text) for letter in m[1]}

def letters_of(page):
    "The letters that a page explains in its line `Letters used: ...`"
    lines = re.findall(r'^\W*Letters\b.*', page.prose(), re.M)
    return {letter for line in lines for letter in re.findall(r'`(\w)`', line)}

def check_letters(pages, glossary):
    "What is wrong with the letters at the end of tensor names"
    listed = set(GLOSSARY_LETTER.findall(glossary))
    faults,used = [],set()
    for page in pages:
        code = '\n'.join(c.source for c in page.cells if c.cell_type=='code')
        letters = letters_in_names(code) | letters_in_names(page.prose())
        used |= letters
        for letter in sorted(letters-listed-letters_of(page)):
            names = {m[0] for m in NAME.finditer(code+page.prose()) if letter in m[1]}
            faults.append(f'{page.path}: letter {letter} of {", ".join(sorted(names)[:3])} is '
                          f'neither in nbs/_site/glossary.md nor in the line "Letters used"')
    unused = sorted(listed-used)
    if unused: faults.append(f'nbs/_site/glossary.md: no notebook uses {", ".join(unused)}')
    return faults

# ---- bibliography

PAPER_LINK = re.compile(r'\((https://(?:arxiv\.org|doi\.org)/[^)\s]+)\)')

def bibliography(pages):
    "bibliography.md with who cites each paper; address -> (target, citation); what is not listed"
    text = (here/'bibliography.md').read_text(encoding='utf-8')
    intro,*papers = text.strip().split('\n\n- ')
    parts,targets = [intro],{}
    for paper in papers:
        citation,url = re.fullmatch(r'(.*) <(\S+)>', ' '.join(paper.split())).groups()
        short = re.sub(r'https?://', '', url)
        target = 'ref-'+re.sub(r'\W+', '-', short).lower()
        targets[url] = target,citation.replace('*', '')
        cited = ', '.join(f'[{p.title}]({p.path})' for p in pages if f'({url})' in p.prose())
        below = f'<br><small>Cited in {cited}</small>' if cited else ''
        parts.append(f'({target})=\n{citation} [{short}]({url}){below}')
    faults = [f'{page.path}: {url} is not in nbs/_site/bibliography.md'
              for page in pages for url in dict.fromkeys(PAPER_LINK.findall(page.prose()))
              if url not in targets]
    return '\n\n'.join(parts)+'\n',targets,faults

# ---- search

def synonyms(glossary):
    "From what others say to what we say: the last column of the glossary's table of words"
    found = {}
    for row in re.findall(r'^\|(.*)\|$', glossary, re.M):
        cells = [cell.strip().replace('`', '') for cell in re.split(r'(?<!\\)\|', row)]
        if len(cells)!=4 or re.match('---|elsewhere also|$', cells[3]): continue
        for other in cells[3].split(', '): found[other.lower()] = cells[0].lower()
    return found

def index_text(app, doctree, docname):
    "What search.js searches: [address, page, heading, prose, code, kind] of sections and entries"
    address = app.builder.get_target_uri(docname)
    page = doctree.next_node(nodes.title).astext()
    for node in doctree.findall():
        if isinstance(node, nodes.section):
            heading = node.next_node(nodes.title).astext()
            section = [f"{address}#{node['ids'][0]}", page, heading, '', '', '']
            app.index.append(section)
        elif isinstance(node, desc_signature) and node.get('ids'):
            about = node.parent.next_node(desc_content).next_node(nodes.paragraph)
            text = about.astext() if about else ''
            app.index.append([f"{address}#{node['ids'][0]}", page, node['fullname'], text, '',
                              node.parent['objtype']])
        elif isinstance(node, (nodes.paragraph,nodes.literal_block)) and not inside(node, desc):
            place = 4 if isinstance(node, nodes.literal_block) else 3
            section[place] += ' '.join(node.astext().split())+' '

# ---- Sphinx

def inside(node, *kinds):
    while node is not None and not isinstance(node, kinds): node = node.parent
    return node is not None

def link_names(app, doctree, docname):
    "Code in prose that names an entry links to it; a link to a paper goes to the bibliography"
    def uri(page, anchor=''):
        return app.builder.get_relative_uri(docname, page)+(anchor and '#'+anchor)
    for node in list(doctree.findall(nodes.literal)):
        target = app.names.get(node.astext().removesuffix('()'))
        if not target or target==(docname,): continue
        if inside(node, nodes.title, nodes.reference, desc_signature): continue
        link = nodes.reference('', '', node.deepcopy(), internal=True, refuri=uri(*target))
        node.replace_self(link)
    for node in doctree.findall(nodes.reference):
        if node.get('refuri') in app.papers and docname!='bibliography':
            target,citation = app.papers[node['refuri']]
            link = dict(refuri=uri('bibliography', target), reftitle=citation, internal=True)
            node.attributes.update(link)

def keep_punctuation(app, doctree, docname):
    "A comma after a formula stays on its line"
    for math in list(doctree.findall(nodes.math)):
        after = math.next_node(descend=False, siblings=True)
        if not isinstance(after, nodes.Text): continue
        mark = re.match(r'[.,;:!?)\]’”-]+\w*', after.astext())
        if not mark: continue
        rest = nodes.Text(after.astext()[mark.end():])
        after.parent.replace(after, rest)
        whole = nodes.inline('', '', math.deepcopy(), nodes.Text(mark[0]), classes=['together'])
        math.replace_self(whole)

def describe_page(app, pagename, templatename, context, doctree):
    "What search engines and previews show; and the level of the sidebar's captions"
    tree = context['furo_navigation_tree']
    heading = 'role="heading"'
    context['furo_navigation_tree'] = tree.replace(heading, f'{heading} aria-level="2"')
    about = app.subtitles.get(pagename) or cfg['description']
    title = re.sub('<.*?>', '', context.get('title') or cfg['title'])
    tags = [('name', 'description', about), ('property', 'og:title', html.unescape(title)),
            ('property', 'og:description', about), ('property', 'og:type', 'article'),
            ('property', 'og:site_name', cfg['title'])]
    lines = [f'<meta {kind}="{name}" content="{html.escape(text)}">' for kind,name,text in tags]
    context['metatags'] = '\n'.join([context.get('metatags', '').strip(), *lines, ''])
    # a fold is called what it says
    body = context.get('body', '')
    context['body'] = body.replace('<summary aria-label="Toggle hidden content">', '<summary>')

def static_files(folder):
    "Our own files, and of the offline package of MathJax the parts that the pages load"
    package = Path(importlib.util.find_spec('sphinx-mathjax-offline').origin).parent
    package = package/'static/mathjax'
    parts = ('startup', 'core', 'input/tex', 'output/chtml', 'output/chtml/fonts/tex',
             'a11y/assistive-mml')
    fonts = [f.relative_to(package) for f in package.glob('output/chtml/fonts/woff-v2/*')]
    for file in [f'{part}.js' for part in parts]+fonts:
        (folder/'mathjax'/file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(package/file, folder/'mathjax'/file)
    for file in ('site.css','site.js','search.js'): shutil.copy(here/file, folder)

def first_lines():
    "From the id of an exported cell to its first line in the module"
    found = {}
    for path in (root/cfg['lib_path']).glob('*.py'):
        text = path.read_text(encoding='utf-8')
        for m in re.finditer(r'^# %% .* #(\S+)$', text, re.M):
            found[m[1]] = text[:m.start()].count('\n')+1
    return found

def write_sources(src, pages, references):
    "The pages as Sphinx reads them"
    titles = {p.name:p.title for p in pages} | REFERENCE
    pages[0].cells.append(text_cell(toctrees(titles)))
    for page in pages:
        (src/page.path).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(page.notebook(), src/page.path)
    (src/'bibliography.md').write_text(references, encoding='utf-8')
    (src/'settings.md').write_text(settings_page(), encoding='utf-8')
    shutil.copy(here/'glossary.md', src)
    static_files(src/'_static')

def names_of(pages):
    "From a name, short or full, to its page and anchor; modules have no anchor"
    found = {}
    for page in pages:
        for entry in page.all_entries():
            full = f'{page.module}.{entry.name}'
            found[full] = found[entry.name] = (page.name, full)
        if page.module: found[page.module] = (page.name,)
    return found

def sphinx(src, site, tmp, pages, papers, glossary):
    "Run Sphinx; it ends at the first warning"
    sources = {}
    lines = first_lines()
    for page in pages: sources |= page.sources(lines)
    def source_link(_, info): return sources.get(f"{info['module']}.{info['fullname']}")
    conf = dict(project=cfg['title'], html_title=cfg['title'], author=cfg['author'],
                copyright=cfg['copyright'], version=cfg['version'],
                html_baseurl=cfg['doc_host']+cfg['doc_baseurl']+'/',
                html_static_path=[str(src/'_static')], linkcode_resolve=source_link)
    app = Sphinx(src, here, site, tmp/'doctrees', 'html', conf, status=None, warning=sys.stderr,
                 warningiserror=True, freshenv=True)
    app.names = names_of(pages)
    app.subtitles = {p.name:p.subtitle for p in pages}
    app.papers,app.index,app.builder.search = papers,[],False
    app.connect('doctree-resolved', link_names)
    app.connect('doctree-resolved', index_text)
    app.connect('doctree-resolved', keep_punctuation, priority=600)
    app.connect('html-page-context', describe_page, priority=900)
    search = [('search', dict(title='Search'), 'search.html')]
    app.connect('html-collect-pages', lambda app: search)
    app.build()
    if app.statuscode: sys.exit('the site was not built: the warnings above are errors')
    found = json.dumps(app.index, ensure_ascii=False)
    alike = json.dumps(synonyms(glossary), ensure_ascii=False)
    script = f'const SECTIONS = {found};\nconst GLOSSARY = {alike};\n'
    (site/'_static/search-index.js').write_text(script, encoding='utf-8')
    (site/'.buildinfo').unlink()
    (site/'.nojekyll').touch()

def build(out):
    if out.exists() and any(out.iterdir()) and not (out/'.nojekyll').exists():
        sys.exit(f'{out}: not empty, and not a site; it is not replaced')
    pages = read_pages(check_order())
    glossary = (here/'glossary.md').read_text(encoding='utf-8')
    references,papers,faults = bibliography(pages)
    faults += [fault for page in pages for fault in page.faults]+check_letters(pages, glossary)
    if faults: raise ValueError('the site was not built:\n'+'\n'.join(faults))
    with tempfile.TemporaryDirectory() as tmp:
        src,site = Path(tmp)/'src',Path(tmp)/'site'
        write_sources(src, pages, references)
        sphinx(src, site, Path(tmp), pages, papers, glossary)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(site, out)

if __name__=='__main__':
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=root/cfg['doc_path'],
                        help='folder of the site; replaced')
    build(parser.parse_args().out)
