"The page of all settings and commands, from the settings classes and the commands themselves"
import contextlib
import importlib
import io
import json
import os
import re
import sys
from configparser import ConfigParser
from pathlib import Path
from unittest.mock import patch

root = Path(__file__).resolve().parents[2]

INTRO = """# Settings and commands

{.subtitle}
Everything that can be set, what is allowed, and what the presets choose

A file of settings is JSON and holds only what differs from the defaults. A key such as
`tiger.training.steps` is an object in an object: `{"tiger": {"training": {"steps": 2000}}}`.
On the command line it is `--set tiger.training.steps=2000`. Where the column of a preset is empty,
the preset keeps the default. Values are checked before anything is read or trained.
"""

def flat(changes, path=''):
    "From nested changes to dotted keys"
    found = {}
    for name,value in changes.items():
        if isinstance(value, dict): found |= flat(value, f'{path}{name}.')
        else: found[path+name] = value
    return found

def presets():
    "What each preset changes: name -> dotted key -> value"
    paths = sorted((root/'semids/configs').glob('*.json'), key=lambda p: len(p.stem))
    return {p.stem:flat(json.loads(p.read_text(encoding='utf-8'))) for p in paths}

def cell(text): return str(text).replace('|', r'\|')

def value(text): return f'`{text}`' if text not in ('', None) else ''

def groups(rows):
    "Rows by the part of their key before the last dot"
    found = {}
    for row in rows: found.setdefault(row['setting'].rpartition('.')[0], []).append(row)
    return found

def about(row):
    "Meaning, type and allowed values in one sentence"
    allowed = re.sub("'([^']*)'", r'`\1`', row['allowed'])
    kind = value(row['type'])+(f', {allowed}' if allowed else '')
    return f"{row['meaning']} ({kind})"

def table(rows, chosen):
    "A Markdown table: a line for each setting, a column for each preset"
    names = [name for name,changes in chosen.items() if any(r['setting'] in changes for r in rows)]
    lines = ['{.settings}', '| '+' | '.join(['setting', 'default', *names, 'meaning'])+' |',
             '| '+' | '.join(['---']*(3+len(names)))+' |']
    for row in rows:
        key = row['setting']
        picked = [chosen[n].get(key) for n in names]
        picked = [value(json.dumps(p)) if p is not None else '' for p in picked]
        cells = [value(key), value(row['value']), *picked, about(row)]
        lines.append('| '+' | '.join(map(cell, cells))+' |')
    return '\n'.join(lines)

def help_of(name, target):
    "What `name --help` prints"
    module,_,function = target.partition(':')
    command = getattr(importlib.import_module(module), function)
    out = io.StringIO()
    with (contextlib.redirect_stdout(out), contextlib.suppress(SystemExit),
          patch.object(sys, 'argv', [name, '--help']), patch.dict(os.environ, COLUMNS='98')):
        command()
    return out.getvalue().strip()

def commands():
    "From the name of a command to its help"
    ini = ConfigParser(delimiters=['='], interpolation=None)
    ini.read(root/'settings.ini', encoding='utf-8')
    lines = ini['DEFAULT']['console_scripts'].split()
    return {name:help_of(name, target) for name,_,target in (l.partition('=') for l in lines)}

def page(rows, chosen, helps):
    "The page in Markdown, from rows of `describe`, presets and the help of commands"
    parts = [INTRO, '## Settings']
    for group,found in groups(rows).items():
        parts.append(f'### `{group}`' if group else '### The run')
        parts.append(table(found, chosen))
    parts.append('## Commands')
    for name,text in helps.items(): parts += [f'### `{name}`', f'```text\n{text}\n```']
    return '\n\n'.join(parts)+'\n'

def settings_page():
    "The page for the library as it is"
    from semids.pipeline import RunSettings
    from semids.settings import describe
    return page(describe(RunSettings()), presets(), commands())
