"""Run notebooks and store what they show.

    python nbs/_run.py                        # all of them
    python nbs/_run.py nbs/00_sasrec.ipynb    # some
    python nbs/_run.py --flags slow ...       # with the cells that are marked `#| slow`

Cells marked `#| eval: false` and cells with a flag that is not asked for are not run and keep the
outputs they have. Figures are stored as SVG: _site/matplotlibrc says how they look.
"""
import argparse
import os
import re
from pathlib import Path

import nbformat
from execnb.nbio import read_nb, write_nb
from nbclient import NotebookClient
from nbdev.clean import clean_nb

from _svg import from_matplotlib

FLAGS = {'slow', 'gpu'}
here = Path(__file__).resolve().parent
PROGRESS_BAR = 'application/vnd.jupyter.widget-view+json'

def skipped(source, flags):
    "Is this cell left out of the run?"
    found = dict(re.findall(r'^#\| *([\w-]+):? *(.*)$', source, re.M))
    not_asked_for = FLAGS - set(flags)
    return found.get('eval') == 'false' or bool(found.keys() & not_asked_for)

class Runner(NotebookClient):
    flags = ()
    async def async_execute_cell(self, cell, cell_index, **kwargs):
        if cell.cell_type == 'code' and skipped(cell.source, self.flags): return cell
        return await super().async_execute_cell(cell, cell_index, **kwargs)

def is_for_the_waiting(output):
    "Progress bars and warnings are for the one who waits"
    return output.get('name') == 'stderr' or PROGRESS_BAR in output.get('data', {})

def tidy(cell):
    "What a cell has just shown, as it is stored"
    outputs = [o for o in cell.outputs if not is_for_the_waiting(o)]
    cell.outputs = []
    for output in outputs:
        last = cell.outputs[-1] if cell.outputs else {}
        # a progress bar cuts what is printed into pieces
        if last.get('name') == output.get('name') == 'stdout': last['text'] += output['text']
        else: cell.outputs.append(output)
    for output in cell.outputs:
        data = output.get('data', {})
        if 'image/svg+xml' in data: data['image/svg+xml'] = from_matplotlib(data['image/svg+xml'])

def run(path, flags=()):
    os.environ['MATPLOTLIBRC'] = str(here/'_site/matplotlibrc')
    nb = nbformat.read(path, as_version=4)
    runner = Runner(nb, timeout=3600, kernel_name='python3',
                    resources={'metadata': {'path': str(Path(path).parent)}},
                    extra_arguments=["--InlineBackend.figure_formats={'svg'}"])
    runner.flags = flags
    runner.execute()
    for cell in nb.cells:
        if cell.cell_type == 'code' and not skipped(cell.source, flags): tidy(cell)
    nb.metadata.pop('widgets', None)
    nbformat.write(nb, path)
    # nbdev's own cleaning: no counts of runs, no metadata
    nb = read_nb(path)
    clean_nb(nb)
    write_nb(nb, path)

def is_notebook(path): return not any(part[0] in '_.' for part in path.relative_to(here).parts)

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='*', type=Path)
    parser.add_argument('--flags', nargs='*', default=[], choices=sorted(FLAGS))
    args = parser.parse_args()
    every = sorted(path for path in here.rglob('*.ipynb') if is_notebook(path))
    for path in args.notebooks or every:
        run(path, args.flags)
        print(path)
