"""Write README.md from nbs/index.ipynb: its text, its code, and of the cells that are not shown what they show. `--check` only compares.

    python nbs/_readme.py
"""
import argparse, base64, json, re, sys
from pathlib import Path

nbs = Path(__file__).parent

def readme():
    "Text of the README, and the pictures by their path"
    parts, pictures = [], {}
    for cell in json.loads((nbs/'index.ipynb').read_text(encoding='utf-8'))['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown': parts.append(re.sub(r'\]\(([\w/]+\.ipynb)\)', r'](nbs/\1)', source))
        elif '#| echo: false' not in source: parts.append('```python\n' + re.sub(r'^#\|.*\n', '', source, flags=re.M) + '\n```')
        else:
            shown = {kind: content for output in cell['outputs'] for kind, content in output.get('data', {}).items()}
            if 'image/png' in shown:
                label, alt = (re.search(rf'^#\| {name}: "?(.*?)"?$', source, re.M)[1] for name in ('label', 'fig-alt'))
                pictures[f'nbs/images/{label}.png'] = base64.b64decode(shown['image/png'])
                parts.append(f'![{alt}](nbs/images/{label}.png)')
            else: parts.append(''.join(shown['text/markdown']))
    return '\n\n'.join(parts) + '\n', pictures

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true')
    check = parser.parse_args().check
    text, pictures = readme()
    targets = {'README.md': text.encode()} | pictures
    differ = [p for p, b in targets.items() if not (nbs.parent/p).exists() or (nbs.parent/p).read_bytes() != b]
    if check: sys.exit(f'{", ".join(differ)}: not as nbs/index.ipynb has it; run python nbs/_readme.py' if differ else None)
    for p, content in targets.items():
        (nbs.parent/p).parent.mkdir(exist_ok=True)
        (nbs.parent/p).write_bytes(content)
