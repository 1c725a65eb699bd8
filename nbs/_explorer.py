"""Beam search through the toy shop that moves in the browser: `_site/explorer.html` and its data.

A cell that ends in an `Explorer` stores a page that needs nothing else, and a picture of how it
begins for where scripts are off: the README shows this, and the site where there are no scripts.
"""
import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np

from semids.toy_shop import kind_rule

TEMPLATE = Path(__file__).parent/'_site/explorer.html'

def for_browser(catalogue, codes_NM):
    "What the browser needs to know of the shop: the factors of its rule, and the semantic IDs"
    n_categories = len(catalogue.kinds)//catalogue.n_kinds
    # few numbers occur in the rule of the kinds: it is sent as their places, a digit each
    chances,place_GG = np.unique(kind_rule(n_categories, catalogue.n_kinds), return_inverse=True)
    place_GG = place_GG.reshape(len(catalogue.kinds), -1)
    return dict(texts=[text.split(',')[0] for text in catalogue.texts()],
                kind=catalogue.kind_N.tolist(), brand=catalogue.brand_N.tolist(),
                weight=catalogue.weight_N.tolist(), codes=codes_NM.tolist(),
                arrivals=np.flatnonzero(catalogue.arrivals_N).tolist(),
                chances=chances.tolist(), follows=[''.join(map(str, row)) for row in place_GG])

def as_svg(fig):
    "A figure as `_run.py` expects it, and not shown a second time"
    out = io.BytesIO()
    fig.savefig(out, format='svg', bbox_inches='tight')
    plt.close(fig)
    return out.getvalue().decode()

class Explorer:
    "The explorer as it begins, and a picture of this"
    def __init__(self, data, history, beams, fig):
        self.start = dict(history=history, beams=beams)
        self.data = json.dumps(data | self.start, separators=(',',':'))
        self.svg = as_svg(fig)

    def __repr__(self): return f'Explorer({self.start})'

    def _repr_mimebundle_(self, **kwargs):
        html = TEMPLATE.read_text(encoding='utf-8').replace('DATA', self.data)
        return {'text/html':html, 'image/svg+xml':self.svg, 'text/plain':repr(self)}

def stored(path):
    "The explorer that a notebook shows, as it was stored there"
    cells = nbformat.read(path, as_version=4).cells
    shown = [o.data for c in cells for o in c.get('outputs', []) if 'data' in o]
    return next(data for data in shown if 'class="explorer"' in data.get('text/html', ''))
