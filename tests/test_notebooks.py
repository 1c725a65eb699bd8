"Every notebook runs through nbdev's own test runner, each in a process of its own; cells marked slow are left out"
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
notebooks = sorted(p for p in (root/'nbs').rglob('*.ipynb') if not any(part.startswith(('_', '.')) for part in p.relative_to(root).parts))

@pytest.mark.parametrize('path', notebooks, ids=lambda p: p.stem)
def test_notebook(path):
    code = f"from nbdev.test import nbdev_test; nbdev_test(path={str(path)!r}, n_workers=0, do_print=True)"
    done = subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and 'Success' in done.stdout, done.stdout + done.stderr

def test_all_are_here():
    "A runner that finds nothing must not look like one that passes"
    assert {'00_sasrec', '01_rqvae', '02_semantic_ids', '03_conversion', '04_beam_search', '05_tiger', 'pipeline',
            'data', 'evaluation', 'layers', 'training', 'index', 'beauty', 'codebook_collapse', 'collisions', 'new_items', 'own_data', 'protocol',
            'slow_decoding', 'strong_sasrec'} <= {p.stem for p in notebooks}
