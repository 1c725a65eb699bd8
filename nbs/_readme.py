"""Write README.md from nbs/index.ipynb: its text, its code, its picture. `--check` only compares.

    python nbs/_readme.py
"""
import argparse, base64, json, re, sys
from pathlib import Path

nbs = Path(__file__).parent
PICTURE = 'nbs/images/overview.png'

def readme():
    "README text and the bytes of the picture"
    parts, picture = [], None
    for cell in json.loads((nbs/'index.ipynb').read_text(encoding='utf-8'))['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown': parts.append(re.sub(r'\]\(([\w/]+\.ipynb)\)', r'](nbs/\1)', source))
        elif '#| echo: false' in source:
            picture = base64.b64decode(next(o['data']['image/png'] for o in cell['outputs'] if 'image/png' in o.get('data', {})))
            alt = re.search('fig-alt: "(.*)"', source)[1]
            parts.append(f'![{alt}]({PICTURE})')
        else: parts.append('```python\n' + re.sub(r'^#\|.*\n', '', source, flags=re.M) + '\n```')
    return '\n\n'.join(parts) + '\n', picture

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true')
    check = parser.parse_args().check
    text, picture = readme()
    targets = {nbs.parent/'README.md': text.encode(), nbs.parent/PICTURE: picture}
    if check: sys.exit([f'{p} differs from nbs/index.ipynb; run python nbs/_readme.py' for p, b in targets.items() if not p.exists() or p.read_bytes() != b] and 1)
    for path, content in targets.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
