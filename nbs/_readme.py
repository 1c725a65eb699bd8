"""Write README.md from nbs/index.ipynb: its text, its code, and what its cells show.

    python nbs/_readme.py            # write README.md, and the pictures that it shows
    python nbs/_readme.py --check    # only compare

Pictures are files beside the README: SVG with dark ink in the light and light ink in the dark.
"""
import argparse
import json
import re
import sys
from pathlib import Path

from _svg import with_schemes

nbs = Path(__file__).resolve().parent
root = nbs.parent
OPTION = r'^#\| *{}: *"?(.*?)"?$'

def option(source, name, default=''):
    "A cell option such as `#| label: steps`"
    found = re.search(OPTION.format(name), source, re.M)
    return found[1] if found else default

def is_hidden(source):
    "Is a cell neither shown nor what it shows?"
    return bool(re.search(r'^#\| *hide$', source, re.M)) or option(source, 'include') == 'false'

def links(text):
    "Links that start at nbs/ start at the root; notebooks and drawings are there"
    return re.sub(r'\]\(([\w./-]+\.(?:ipynb|svg)(?:#[\w-]+)?)\)', r'](nbs/\1)', text)

def drawings(text):
    "The SVG files that a text shows, each with ink for light and dark"
    paths = re.findall(r'!\[[^\]]*\]\((images/[\w.-]+\.svg)\)', text)
    return {f'nbs/{path}': with_schemes((nbs/path).read_text(encoding='utf-8')) for path in paths}

def shown(output, source):
    "What a cell shows, as Markdown, and its picture by its path"
    data = {kind: ''.join(content) for kind, content in output.get('data', {}).items()}
    if 'image/svg+xml' in data:
        label = option(source, 'label')
        alt = option(source, 'fig-alt')
        if not label: raise ValueError(f'index.ipynb: a picture without `#| label: ...`: {source}')
        path = f'nbs/images/{label}.svg'
        return f'![{alt}]({path})', {path: with_schemes(data['image/svg+xml']).rstrip() + '\n'}
    if 'text/markdown' in data: return links(data['text/markdown']), {}
    # GitHub shows tables, and no styles
    if 'text/html' in data: return re.sub(r' style="[^"]*"', '', data['text/html']), {}
    text = ''.join(output.get('text', data.get('text/plain', ''))).rstrip()
    return (f'```text\n{text}\n```' if text else ''), {}

def merged(outputs):
    "What was printed line by line as one output"
    found = []
    for output in outputs:
        last = found[-1] if found else {}
        if 'text' in output and 'text' in last: last['text'] = last['text'] + output['text']
        else: found.append(dict(output))
    return found

def code(source):
    "A code cell as it is shown: without options"
    plain = re.sub(r'^#\|.*\n', '', source, flags=re.M).strip()
    return f'```python\n{plain}\n```'

def readme():
    "Text of the README, and the pictures by their path"
    parts, pictures = [], {}
    for cell in json.loads((nbs/'index.ipynb').read_text(encoding='utf-8'))['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            pictures |= drawings(source)
            parts.append(links(source))
            continue
        if is_hidden(source): continue
        if option(source, 'echo') != 'false': parts.append(code(source))
        if option(source, 'output') == 'false': continue
        for output in merged(cell['outputs']):
            text, picture = shown(output, source)
            pictures |= picture
            if text: parts.append(text)
    return '\n\n'.join(parts) + '\n', pictures

def differ(targets):
    "Paths of files that are absent or not as the notebook has them"
    paths = {path: root/path for path in targets}
    return [path for path, file in paths.items()
            if not file.exists() or file.read_text(encoding='utf-8') != targets[path]]

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true')
    check = parser.parse_args().check
    text, pictures = readme()
    targets = {'README.md': text} | pictures
    changed = differ(targets)
    if check and changed:
        sys.exit(f'{", ".join(changed)}: not as nbs/index.ipynb has it; run python nbs/_readme.py')
    for path in changed:
        (root/path).parent.mkdir(exist_ok=True)
        (root/path).write_text(targets[path], encoding='utf-8')
