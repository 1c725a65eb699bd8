"""Entries of the reference: what a notebook exports, read from its source.

The comments of parameters are part of the source, so the source is read and not the objects.
tests/test_site.py compares every entry with `inspect.signature` of the real object.
"""
import ast
import io
import re
import tokenize
from dataclasses import dataclass, field

from nbdev.doclinks import patch_name

SPECIAL = ('__call__', '__len__')
LIMITS = dict(low='at least {}', high='at most {}', above='more than {}', below='less than {}')
ERROR_TEXT = 100  # characters of a message that an entry quotes

@dataclass
class Definition:
    "A function, class or constant of an exported cell"
    node:ast.AST
    name:str # within the module, such as `Class.method`
    comments:dict # from a line to its comment
    shown:bool # is its source on the page?

@dataclass
class Entry:
    "What the reference says about a definition"
    name:str # within the module
    kind:str # function, class, method, classmethod, property, data
    line:int # in its cell
    doc:str = ''
    parameters:list = field(default_factory=list) # rows: name, type, default, details
    returns:tuple|None = None # type and details
    raises:list = field(default_factory=list) # (error, message) that the text does not name
    members:list = field(default_factory=list) # entries of a class's methods and properties
    shown:bool = False

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

def is_public(name):
    last = name.split('.')[-1]
    return last in SPECIAL or not last.startswith('_')

def definitions(source, shown):
    "What an exported cell defines, private names too"
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {t.start[0]:t.string.lstrip('# ') for t in tokens if t.type==tokenize.COMMENT}
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)): name = patch_name(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        else: continue
        found.append(Definition(node, name, comments, shown))
    return found

def text_of(node): return ast.unparse(node) if node else ''

def decorators(node): return [ast.unparse(d) for d in node.decorator_list]

def kind_of(node, name):
    "What sphinx calls it"
    if isinstance(node, ast.ClassDef): return 'class'
    if not isinstance(node, FUNCTIONS): return 'data'
    marks = decorators(node)
    if any(re.search(r'property$|as_prop=True', mark) for mark in marks): return 'property'
    if any(re.search(r'^classmethod$|cls_method=True', mark) for mark in marks):
        return 'classmethod'
    if 'staticmethod' in marks: return 'staticmethod'
    return 'method' if '.' in name else 'function'

# ---- parameters

def allowed(call):
    "The limits of an `option(...)` in words"
    limits = {k.arg:ast.unparse(k.value) for k in call.keywords if k.arg in (*LIMITS, 'among')}
    if 'among' in limits: return 'one of ' + limits['among'].strip('()').rstrip(',')
    return ' and '.join(LIMITS[name].format(limit) for name,limit in limits.items())

def argument(call, place, name):
    "An argument of a call, given by place or by name; None if it is not given"
    if len(call.args)>place: return call.args[place]
    return next((k.value for k in call.keywords if k.arg==name), None)

def field_row(node, comments):
    "The row of a dataclass's field: name, type, default, details"
    details = comments.get(node.lineno, '')
    default = node.value
    if isinstance(default, ast.Call) and ast.unparse(default.func)=='option':
        meaning = argument(default, 1, 'meaning')
        parts = [ast.literal_eval(meaning) if isinstance(meaning, ast.Constant) else '',
                 allowed(default)]
        details = '; '.join(part for part in parts if part)
        default = argument(default, 0, 'default')
    elif isinstance(default, ast.Call) and ast.unparse(default.func).endswith('field'):
        factory = argument(default, 9, 'default_factory')
        default = ast.Call(factory, [], []) if factory else argument(default, 9, 'default')
    return node.target.id,text_of(node.annotation),text_of(default),details

def arguments(node, comments, bound):
    "Rows for the arguments of a function; the first is dropped where it is `bound`"
    a = node.args
    plain = a.posonlyargs+a.args
    # the first of them have no default
    required = len(plain)-len(a.defaults)
    defaults = [None]*required+a.defaults
    fields = list(zip(plain, defaults))[bound:]
    rows = [(arg.arg, arg.annotation, default, arg.lineno) for arg,default in fields]
    if a.vararg: rows.append(('*'+a.vararg.arg, a.vararg.annotation, None, a.vararg.lineno))
    elif a.kwonlyargs: rows.append(('*', None, None, 0))
    for arg,default in zip(a.kwonlyargs, a.kw_defaults):
        rows.append((arg.arg, arg.annotation, default, arg.lineno))
    if a.kwarg: rows.append(('**'+a.kwarg.arg, a.kwarg.annotation, None, a.kwarg.lineno))
    # the comment of a line belongs to the last name on it
    owner = {line:name for name,_,_,line in rows}
    if node.returns: owner[node.returns.lineno] = 'return'
    def details(name, line): return comments.get(line, '') if owner[line]==name else ''
    return [(name, text_of(kind), text_of(default), details(name, line))
            for name,kind,default,line in rows]

# ---- errors

def message(node):
    "What an error says, with … for what is filled in"
    if isinstance(node, ast.Constant): return str(node.value)
    if not isinstance(node, ast.JoinedStr): return ''
    parts = [str(v.value) if isinstance(v, ast.Constant) else '…' for v in node.values]
    text = ' '.join(''.join(parts).split())
    return text if len(text)<=ERROR_TEXT else text[:ERROR_TEXT].rsplit(' ', 1)[0]+' …'

def errors(node, private, seen=()):
    "(error, message) of every `raise` in a function and in the private functions that it calls"
    found = []
    for child in ast.walk(node):
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call):
            name = ast.unparse(child.exc.func)
            text = message(child.exc.args[0]) if child.exc.args else ''
            if name.endswith('Error') and name!='NotImplementedError': found.append((name, text))
        called = ast.unparse(child.func) if isinstance(child, ast.Call) else ''
        if called in private and called not in seen:
            found += errors(private[called], private, (*seen, called))
    return list(dict.fromkeys(found))

# ---- the library

class Library:
    "All definitions of all notebooks: a class may inherit from another notebook's"
    def __init__(self): self.found = {}

    def add(self, definition): self.found[definition.name] = definition

    def private(self):
        "Functions that no page describes"
        return {name:d.node for name,d in self.found.items()
                if isinstance(d.node, FUNCTIONS) and not is_public(name)}

    def bases(self, node):
        names = [ast.unparse(base) for base in node.bases]
        return [self.found[name] for name in names if name in self.found]

    def fields(self, definition):
        "Rows of a dataclass, with those of its bases before its own"
        rows = {}
        for base in self.bases(definition.node): rows |= self.fields(base)
        for node in definition.node.body:
            if isinstance(node, ast.AnnAssign):
                row = field_row(node, definition.comments)
                rows[row[0]] = row
        return rows

    def own(self, definition, name):
        "A method of a class, written in it or patched in, as a definition"
        for node in definition.node.body:
            if getattr(node, 'name', '')==name:
                return Definition(node, f'{definition.name}.{name}', definition.comments,
                                  definition.shown)
        return self.found.get(f'{definition.name}.{name}')

    def constructor(self, definition):
        "Rows for what a class is made from"
        init = self.own(definition, '__init__')
        if init: return arguments(init.node, init.comments, bound=True)
        if any('dataclass' in mark for mark in decorators(definition.node)):
            return list(self.fields(definition).values())
        for base in self.bases(definition.node): return self.constructor(base)
        return []

    def raised(self, definition):
        "What a definition raises and its text does not name"
        nodes = [definition.node]
        if isinstance(definition.node, ast.ClassDef):
            methods = [self.own(definition, n) for n in ('__init__', '__post_init__', 'check')]
            nodes = [method.node for method in methods if method]
        told = ast.get_docstring(definition.node) or ''
        found = [error for node in nodes for error in errors(node, self.private())]
        return [(name, text) for name,text in dict.fromkeys(found) if name not in told]

    def members(self, definition):
        "Entries for the public methods and properties that stand in a class"
        found = []
        for node in definition.node.body:
            if isinstance(node, FUNCTIONS) and is_public(node.name):
                method = Definition(node, f'{definition.name}.{node.name}', definition.comments,
                                    definition.shown)
                found.append(self.entry(method))
        return found

    def entry(self, definition):
        node = definition.node
        kind = kind_of(node, definition.name)
        entry = Entry(definition.name, kind, node.lineno, shown=definition.shown)
        if kind=='data':
            # the comment above a constant says what it is
            entry.doc = definition.comments.get(node.lineno-1, '')
            return entry
        entry.doc = ast.get_docstring(node) or ''
        entry.raises = self.raised(definition)
        if kind=='class':
            entry.parameters = self.constructor(definition)
            entry.members = self.members(definition)
            return entry
        bound = kind in ('method', 'classmethod', 'property')
        entry.parameters = arguments(node, definition.comments, bound)
        if node.returns:
            details = definition.comments.get(node.returns.lineno, '')
            entry.returns = ast.unparse(node.returns).strip("'"),details
        return entry

# ---- as text for MyST

DIRECTIVES = dict(classmethod='method', staticmethod='method')

def walk(entry):
    "An entry and those below it"
    yield entry
    for member in entry.members: yield from walk(member)

def code(text): return f'`{text}`' if text else ''

def table(entry):
    rows = [[code(name), code(kind), code(default), details]
            for name,kind,default,details in entry.parameters if name!='*']
    if entry.returns and entry.kind!='property':
        rows.append(['**returns**', code(entry.returns[0]), '', entry.returns[1]])
    for name in dict.fromkeys(name for name,_ in entry.raises):
        texts = [text for error,text in entry.raises if error==name and text]
        details = '; '.join(code(text.replace('`', "'")) for text in texts)
        rows.append(['**raises**', code(name), '', details])
    return rows

def to_myst(entry, module, depth=6):
    "The directive that describes an entry, with those of its members"
    fence = ':'*depth
    name = entry.name if depth==6 else entry.name.rsplit('.', 1)[-1]
    call = name
    if entry.kind not in ('data', 'property'):
        call += f"({', '.join(n+(f'={d}' if d else '') for n,_,d,_ in entry.parameters)})"
        if entry.returns: call += f' -> {entry.returns[0]}'
    lines = [f'{fence}{{py:{DIRECTIVES.get(entry.kind, entry.kind)}}} {call}']
    if depth==6: lines.append(f':module: {module}')
    if entry.kind in ('classmethod', 'staticmethod'): lines.append(f':{entry.kind}:')
    if entry.kind=='property' and entry.returns: lines.append(f':type: {entry.returns[0]}')
    lines += ['', entry.doc, '']
    if entry.kind=='property' and entry.returns and entry.returns[1]:
        lines += [entry.returns[1], '']
    if rows := table(entry):
        lines += ['{.parameters}', '| name | type | default | details |',
                  '| --- | --- | --- | --- |']
        for row in rows:
            lines.append('| ' + ' | '.join(c.replace('|', r'\|') for c in row) + ' |')
        lines.append('')
    lines += [to_myst(member, module, depth-1) for member in entry.members]
    return '\n'.join([*lines, fence, ''])

def described(entries, module):
    "Entries of a cell; folded where the source stands above them, since it says the same"
    text = '\n'.join(to_myst(e, module) for e in entries)
    if not all(e.shown for e in entries): return text
    names = ', '.join(f'<code>{e.name}</code>' for e in entries)
    summary = f'<summary>Reference: {names}</summary>'
    return f'<details class="reference">{summary}\n\n{text}\n\n</details>'
