"""Run notebooks and store what they show.

    python nbs/_run.py                        # all of them
    python nbs/_run.py nbs/00_sasrec.ipynb    # some
    python nbs/_run.py --flags slow ...       # with the cells that are marked `#| slow`

Cells marked `#| eval: false` and cells with a flag that is not asked for are not run and keep the outputs they have.
"""
import argparse, base64, io, re
from pathlib import Path

import nbformat
from PIL import Image
from nbclient import NotebookClient
from nbdev.clean import clean_nb
from execnb.nbio import read_nb, write_nb

FLAGS = {'slow', 'gpu'}

def skipped(source, flags):
    "Is this cell left out of the run?"
    found = dict(re.findall(r'^#\| *([\w-]+):? *(.*)$', source, re.M))
    return found.get('eval') == 'false' or bool(found.keys() & (FLAGS - set(flags)))

class Runner(NotebookClient):
    flags = ()
    async def async_execute_cell(self, cell, cell_index, **kwargs):
        if cell.cell_type == 'code' and skipped(cell.source, self.flags): return cell
        return await super().async_execute_cell(cell, cell_index, **kwargs)

def small(png):
    "The same picture with at most 128 colours: a plot looks alike and takes a third of the bytes"
    out = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert('RGB').quantize(128, dither=Image.Dither.NONE).save(out, 'PNG', optimize=True)
    return base64.b64encode(out.getvalue()).decode()+'\n'

def run(path, flags=()):
    nb = nbformat.read(path, as_version=4)
    runner = Runner(nb, timeout=3600, kernel_name='python3', resources={'metadata': {'path': str(Path(path).parent)}},
                    extra_arguments=["--InlineBackend.figure_formats={'retina'}"])
    runner.flags = flags
    runner.execute()
    for cell in nb.cells:  # progress bars are for the one who waits
        if cell.cell_type == 'code':
            pngs = [o.data for o in cell.outputs if 'image/png' in o.get('data', {})] if not skipped(cell.source, flags) else []
            for data in pngs: data['image/png'] = small(data['image/png'])
            cell.outputs = [o for o in cell.outputs if o.get('name') != 'stderr' and 'application/vnd.jupyter.widget-view+json' not in o.get('data', {})]
    nb.metadata.pop('widgets', None)
    nbformat.write(nb, path)
    nb = read_nb(path)
    clean_nb(nb)
    write_nb(nb, path)

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('notebooks', nargs='*', type=Path)
    parser.add_argument('--flags', nargs='*', default=[], choices=sorted(FLAGS))
    args = parser.parse_args()
    every = sorted(p for p in Path(__file__).parent.rglob('*.ipynb') if not any(part.startswith(('_', '.')) for part in p.parts))
    for path in args.notebooks or every:
        run(path, args.flags)
        print(path)
