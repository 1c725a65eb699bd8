"""Build the documentation site from the notebooks: nbdev's processors, then Sphinx with MyST-NB and Furo.

    python nbs/_site/build.py              # into _docs/
    python nbs/_site/build.py --out DIR

The notebooks stay plain nbdev. What nbdev leaves to Quarto is done here: cell options, callouts, and entries for what is
exported. A picture without `#| fig-alt: ...`, a dead link, a paper that bibliography.md does not list: each is an error.
"""
import argparse, ast, html, importlib.util, io, json, re, shutil, sys, tempfile, tokenize
from configparser import ConfigParser
from pathlib import Path

import nbformat, yaml
from docutils import nodes
from nbdev.doclinks import patch_name
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from nbdev.processors import clean_magics, filter_stream_, hide_, hide_line, populate_language, rm_header_dash, strip_ansi
from sphinx.addnodes import desc, desc_content, desc_signature
from sphinx.application import Sphinx

here = Path(__file__).resolve().parent
nbs,root = here.parent,here.parents[1]
ini = ConfigParser(delimiters=['='], interpolation=None)
ini.read(root/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
github = f"{cfg['git_url']}/blob/{cfg['branch']}"

# ---- the pages, in reading order

def reading_order():
    "Sidebar groups: caption and pages (paths of notebooks without suffix)"
    groups = {}
    for path in sorted(p.relative_to(nbs) for p in nbs.rglob('*.ipynb')):
        if any(part[0] in '._' for part in path.parts) or path.name=='index.ipynb': continue
        groups.setdefault(path.parts[0].capitalize() if len(path.parts)>1 else 'Five steps', []).append(path.with_suffix('').as_posix())
    groups = {caption:groups[caption] for caption in ['Five steps']+sorted(groups.keys()-{'Five steps'})}
    return groups

def toctrees(groups, titles):
    "The sidebar: numbered notebooks with their number"
    number = lambda page: m[0]+' ' if (m := re.match(r'\d+', page)) else ''
    lines = ['```{toctree}', ':hidden:', '', 'Home <self>', '```', '']
    for caption,pages in groups.items():
        lines += ['```{toctree}', ':hidden:', f':caption: {caption}', '', *(f'{number(p)}{titles[p]} <{p}>' for p in pages), '```', '']
    return '\n'.join(lines)

# ---- entries for what is exported

def parameters(fields, end, comments):
    "Rows (name, type, default, details) from (name, annotation, default, line); the comment of a line belongs to the last name on it"
    owner = {line:name for name,_,_,line in fields} | end
    text = lambda node: ast.unparse(node) if node else ''
    return [(name, text(kind), text(default), comments.get(line, '') if owner[line]==name else '') for name,kind,default,line in fields]

def signature_of(node, comments):
    "Parameters of a function or class, and what it returns: (type, details) or None"
    if isinstance(node, ast.ClassDef):
        init = next((f for f in node.body if getattr(f, 'name', '')=='__init__'), None)
        if init: return signature_of(init, comments)[0],None
        fields = [f for f in node.body if isinstance(f, ast.AnnAssign)] if 'dataclass' in ''.join(map(ast.unparse, node.decorator_list)) else []
        return parameters([(f.target.id, f.annotation, f.value, f.lineno) for f in fields], {}, comments),None
    a = node.args
    plain = list(zip(a.args, [None]*(len(a.args)-len(a.defaults))+a.defaults))
    starred = lambda arg, stars: [(stars+arg.arg, arg.annotation, None, arg.lineno)] if arg else []
    fields = ([(p.arg, p.annotation, d, p.lineno) for p,d in plain if p.arg not in ('self','cls')] + starred(a.vararg, '*') +
              [(p.arg, p.annotation, d, p.lineno) for p,d in zip(a.kwonlyargs, a.kw_defaults)] + starred(a.kwarg, '**'))
    returns = (ast.unparse(node.returns).strip("'"),comments.get(node.returns.lineno, '')) if node.returns else None
    return parameters(fields, {node.returns.lineno:'return'} if returns else {}, comments),returns

def entry(node, comments, shown, prefix='', depth=6):
    "MyST text that describes a definition, and the names in it; the parameter table is open where the source is not `shown`"
    name = patch_name(node)
    rows,returns = signature_of(node, comments)
    kind = 'class' if isinstance(node, ast.ClassDef) else 'method' if prefix or '.' in name else 'function'
    call = f"{name}({', '.join(n+(f'={d}' if d else '') for n,_,d,_ in rows)})" + (f' -> {returns[0]}' if returns else '')
    code = lambda s: f'`{s}`' if s else ''
    table = [[code(n), code(t), code(d), details] for n,t,d,details in rows]
    if returns: table.append(['**returns**', code(returns[0]), '', returns[1]])
    lines = [f"{':'*depth}{{py:{kind}}} {call}", *([] if prefix else [':module: %MODULE%']), '', ast.get_docstring(node) or '', '']
    if table:
        lines += [f'<details class="parameters"{"" if shown else " open"}><summary>Parameters</summary>', '']
        lines += ['| name | type | default | details |', '| --- | --- | --- | --- |']
        lines += ['| ' + ' | '.join(cell.replace('|', r'\|') for cell in row) + ' |' for row in table] + ['', '</details>', '']
    names = {prefix+name:node.lineno}
    for method in node.body if kind=='class' else []:
        if isinstance(method, ast.FunctionDef) and method.name[0]!='_' and ast.get_docstring(method):
            text,inner = entry(method, comments, shown, prefix+name+'.', depth-1)
            lines.append(text); names |= inner
    return '\n'.join(lines + [':'*depth, '']),names

def entries(cell):
    "Entries for the public definitions of an exported cell: name -> (text, names with lines)"
    comments = {t.start[0]:t.string.lstrip('# ') for t in tokenize.generate_tokens(io.StringIO(cell.source).readline) if t.type==tokenize.COMMENT}
    shown = 'exports' in cell.directives_
    return {patch_name(node):entry(node, comments, shown) for node in ast.parse(cell.source).body
            if isinstance(node, (ast.FunctionDef,ast.ClassDef)) and node.name[0]!='_'}

# ---- from a notebook of nbdev to one of MyST-NB

def options(source):
    "Quarto's cell options, and the source without them"
    found = re.match(r'(?:#\|.*\n?)*', source)[0]
    return yaml.safe_load(re.sub(r'^#\| ?', '', found, flags=re.M)) or {},source[len(found):].lstrip('\n')

def callouts(text, where):
    "Quarto's callouts as admonitions; a heading in one is its title"
    def admonition(m):
        kind,title,body = m[1],m[2],m[3]
        return f':::{{admonition}} {title}\n:class: {kind}\n\n{body}\n:::' if title else f':::{{{kind}}}\n{body}\n:::'
    text = re.sub(r'^::: *\{\.callout-(\w+)\}\n+(?:#+ ([^\n]*)\n)?(.*?)\n:::$', admonition, text, flags=re.M | re.S)
    if left := re.search(r'^:::+ *\{\..*', text, re.M): raise ValueError(f'{where}: {left[0]!r} is not a callout that is closed')
    return text

META = dict(language_info=dict(name='python', pygments_lexer='python'))

def text_cell(text): return nbformat.from_dict(dict(cell_type='markdown', metadata={}, source=text))

def pictures(cell):
    return [o for o in cell.get('outputs', []) if any(mime.startswith('image/') for mime in o.get('data', {}))]

PROCS = [FrontmatterProc, populate_language, strip_ansi, hide_line, filter_stream_, rm_header_dash, clean_magics, hide_]
SHOW_DOC = re.compile(r'^show_doc\(([\w.]+)', re.M)

class Page:
    "One notebook: its title, its names, its cells for MyST-NB"
    def __init__(self, path, first_lines):
        self.path,self.name = path.relative_to(nbs).as_posix(),path.relative_to(nbs).with_suffix('').as_posix()
        proc = NBProcessor(path, procs=PROCS)
        self.module = next((f"{cfg['lib_name']}.{c.directives_['default_exp'][0]}" for c in proc.nb.cells if 'default_exp' in c.directives_), None)
        found = {c.id:entries(c) for c in proc.nb.cells if c.directives_.keys() & {'export','exports'} and c.cell_type=='code'}
        asked = {m[1] for c in proc.nb.cells if c.cell_type=='code' for m in SHOW_DOC.finditer(c.source)}
        by_name = {name:text for cell in found.values() for name,(text,_) in cell.items()}
        self.sources = {f'{self.module}.{name}':f"{github}/{self.module.replace('.', '/')}.py#L{first_lines.get(id, 0)+line}"
                        for id,cell in found.items() for _,names in cell.values() for name,line in names.items()}
        proc.process()
        front = proc.nb.frontmatter_
        self.title,self.subtitle = front['title'],front.get('description', '')
        self.cells,self.lacking = [],[]
        for cell in proc.nb.cells:
            if cell.cell_type=='raw': continue
            if cell.cell_type=='markdown':
                if self.cells and self.cells[-1].cell_type=='markdown': self.cells[-1].source += '\n\n'+cell.source
                else: self.cells.append(text_cell(cell.source))
                continue
            wanted = SHOW_DOC.findall(cell.source)
            if not wanted and not cell.directives_.keys() & {'export','exporti','default_exp'}: self.code(cell)
            texts = [by_name[n] for n in wanted] or [text for n,(text,_) in found.get(cell.get('id'), {}).items() if n not in asked]
            if texts: self.cells.append(text_cell('\n'.join(texts).replace('%MODULE%', self.module)))
        for cell in self.cells:
            if cell.cell_type=='markdown': cell.source = callouts(cell.source, self.path)

    def code(self, cell):
        "A code cell, with Quarto's options as MyST-NB's tags"
        opts,cell.source = options(cell.source)
        if opts.get('include', True) is False: return
        tags = [tag for tag,on in {'remove-input':opts.get('echo', True) is False, 'remove-output':opts.get('output', True) is False,
                                   'hide-input':opts.get('code-fold', False) is True}.items() if on]
        shows = [] if 'remove-output' in tags else pictures(cell)
        if shows and not (len(shows)==1 and opts.get('fig-alt')): self.lacking.append(f'{self.path} cell {cell.id}')
        width = {'width':f"{o.metadata['image/png']['width']}px" for o in shows if 'image/png' in o.metadata}  # twice as many pixels are stored
        myst = dict(image=dict(alt=opts.get('fig-alt', ''))|width) | (dict(figure=dict(caption=opts['fig-cap'])) if 'fig-cap' in opts else {})
        metadata = dict(tags=tags) | (dict(mystnb=myst) if shows else {})
        self.cells.append(nbformat.from_dict(dict(cell_type='code', metadata=metadata, source=cell.source, outputs=cell.outputs,
                                                  execution_count=None)))

    def head(self):
        "Title, subtitle, and where this page comes from"
        links = [f"[`{self.module}`]({github}/{self.module.replace('.', '/')}.py)"] if self.module else []
        links += [f'[notebook]({github}/nbs/{self.path})', f"[report a mistake]({cfg['git_url']}/issues/new)"]
        parts = [f'# {self.title}'] + ([f'{{.subtitle}}\n{self.subtitle}'] if self.subtitle else []) + ['{.sources}\n'+' · '.join(links)]
        return text_cell('\n\n'.join(parts))

# ---- home page, bibliography

def steps(page):
    "The five steps of the index's table as a row of boxes that link to the notebooks"
    text = '\n'.join(c.source for c in page.cells if c.cell_type=='markdown')
    rows = re.findall(r'^\| *(\d) *\| *\[(.+?)\]\((.+?)\.ipynb\) *\| *(.+?) *\|', text, re.M)
    items = [f'<li><a href="{link}.html"><b>{n}</b> <strong>{html.escape(name)}</strong><span>{html.escape(question)}</span></a></li>'
             for n,name,link,question in rows]
    return f'<nav aria-label="The five steps"><ol class="steps">{"".join(items)}</ol></nav>'

def bibliography(pages):
    "bibliography.md with a target and the citing pages for every paper; address -> (target, citation)"
    intro,*papers = (here/'bibliography.md').read_text(encoding='utf-8').strip().split('\n\n- ')
    parts,targets = [intro],{}
    for paper in papers:
        citation,url = re.fullmatch(r'(.*) <(\S+)>', ' '.join(paper.split())).groups()
        target = 'ref-'+re.sub(r'\W+', '-', re.sub(r'https?://', '', url))
        cited = ', '.join(f'[{p.title}]({p.path})' for p in pages if any(c.cell_type=='markdown' and f'({url})' in c.source for c in p.cells))
        targets[url] = target,citation.replace('*', '')
        parts.append(f'({target})=\n{citation} [{url.split("//")[1]}]({url})' + (f'<br><small>Cited in {cited}</small>' if cited else ''))
    for page in pages:
        for cell in page.cells:
            for url in re.findall(r'\((https://(?:arxiv\.org|doi\.org)/[^)\s]+)\)', cell.source) if cell.cell_type=='markdown' else []:
                if url not in targets: raise ValueError(f'{page.path}: {url} is not in nbs/_site/bibliography.md')
    return '\n\n'.join(parts)+'\n',targets

# ---- Sphinx

def inside(node, *kinds):
    while node is not None and not isinstance(node, kinds): node = node.parent
    return node is not None

def link_names(app, doctree, docname):
    "Code in prose that names an entry links to it; a link to a paper goes to the bibliography"
    uri = lambda page, anchor='': app.builder.get_relative_uri(docname, page)+(anchor and '#'+anchor)
    for node in list(doctree.findall(nodes.literal)):
        target = app.names.get(node.astext().removesuffix('()'))
        if target and target!=(docname,) and not inside(node, nodes.title, nodes.reference, desc_signature):
            node.replace_self(nodes.reference('', '', node.deepcopy(), internal=True, refuri=uri(*target)))
    for node in doctree.findall(nodes.reference):
        if node.get('refuri') in app.papers and docname!='bibliography':
            target,citation = app.papers[node['refuri']]
            node.attributes.update(refuri=uri('bibliography', target), reftitle=citation, internal=True)

def index_text(app, doctree, docname):
    "What search.js searches: [address, page, heading, prose, code, kind] for every section and every entry"
    address,page = app.builder.get_target_uri(docname),doctree.next_node(nodes.title).astext()
    for node in doctree.findall():
        if isinstance(node, nodes.section):
            section = [f"{address}#{node['ids'][0]}", page, node.next_node(nodes.title).astext(), '', '', '']
            app.index.append(section)
        elif isinstance(node, desc_signature) and node.get('ids'):
            about = node.parent.next_node(desc_content).next_node(nodes.paragraph)
            app.index.append([f"{address}#{node['ids'][0]}", page, node['fullname'], about.astext() if about else '', '', node.parent['objtype']])
        elif isinstance(node, (nodes.paragraph,nodes.literal_block)) and not inside(node, desc):
            section[3+isinstance(node, nodes.literal_block)] += ' '.join(node.astext().split())+' '

def name_levels(app, pagename, templatename, context, doctree):
    "Sidebar captions are headings; screen readers want to know of which level"
    context['furo_navigation_tree'] = context['furo_navigation_tree'].replace('role="heading"', 'role="heading" aria-level="2"')

def static_files(folder):
    "Our own files, and of the offline package of MathJax the parts that the pages load"
    package = Path(importlib.util.find_spec('sphinx-mathjax-offline').origin).parent/'static/mathjax'
    files = [f'{part}.js' for part in ('startup','core','input/tex','output/chtml','output/chtml/fonts/tex','a11y/assistive-mml')]
    for file in files + [f.relative_to(package) for f in package.glob('output/chtml/fonts/woff-v2/*')]:
        (folder/'mathjax'/file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(package/file, folder/'mathjax'/file)
    for file in ('site.css','site.js','search.js'): shutil.copy(here/file, folder)

def build(out):
    if out.exists() and any(out.iterdir()) and not (out/'.nojekyll').exists(): sys.exit(f'{out}: not empty, and not a site; it is not replaced')
    first_lines = {m[1]:text[:m.start()].count('\n')+1 for p in (root/cfg['lib_path']).glob('*.py')
                   for text in [p.read_text(encoding='utf-8')] for m in re.finditer(r'^# %% .* #(\S+)$', text, re.M)}
    groups = reading_order()
    pages = [Page(nbs/f'{name}.ipynb', first_lines) for name in ['index']+sum(groups.values(), [])]
    if lacking := [place for page in pages for place in page.lacking]:
        raise ValueError('one picture a cell, described by `#| fig-alt: ...`; not so in\n'+'\n'.join(lacking))
    home = pages[0]
    home.cells.insert(1+max(i for i,c in enumerate(home.cells) if pictures(c)), text_cell(steps(home)))
    references,papers = bibliography(pages)
    reference = dict(glossary='Names', bibliography='Papers', genindex='Functions and classes')
    home.cells.append(text_cell(toctrees(groups | {'Reference':list(reference)}, {p.name:p.title for p in pages} | reference)))
    with tempfile.TemporaryDirectory() as tmp:
        src,site = Path(tmp)/'src',Path(tmp)/'site'
        for page in pages:
            (src/page.path).parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(nbformat.from_dict(dict(cells=[page.head()]+page.cells, metadata=META, nbformat=4, nbformat_minor=4)), src/page.path)
        (src/'bibliography.md').write_text(references, encoding='utf-8')
        shutil.copy(here/'glossary.md', src)
        static_files(src/'_static')
        sources = {name:url for p in pages for name,url in p.sources.items()}
        conf = dict(project=cfg['title'], html_title=cfg['title'], author=cfg['author'], copyright=cfg['copyright'], version=cfg['version'],
                    html_static_path=[str(src/'_static')], linkcode_resolve=lambda _, info: sources[f"{info['module']}.{info['fullname']}"])
        app = Sphinx(src, here, site, Path(tmp)/'doctrees', 'html', conf, status=None, warning=sys.stderr, warningiserror=True, freshenv=True)
        app.names = {short:(p.name, full) for p in pages for full in p.sources for short in (full,full.removeprefix(p.module+'.'))}
        app.names |= {p.module:(p.name,) for p in pages if p.module}
        app.papers,app.index,app.builder.search = papers,[],False
        app.connect('doctree-resolved', link_names)
        app.connect('doctree-resolved', index_text)
        app.connect('html-page-context', name_levels, priority=900)
        app.connect('html-collect-pages', lambda app: [('search', dict(title='Search'), 'search.html')])
        app.build()
        if app.statuscode: sys.exit('the site was not built: the warnings above are errors')
        (site/'_static/search-index.js').write_text(f'const SECTIONS = {json.dumps(app.index, ensure_ascii=False)};\n', encoding='utf-8')
        (site/'.buildinfo').unlink()
        (site/'.nojekyll').touch()
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(site, out)

if __name__=='__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=root/cfg['doc_path'], help='folder of the site; replaced')
    build(parser.parse_args().out)
