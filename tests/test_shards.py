"The same bytes whole or in pieces of any size, with one process and with two"
import subprocess
import sys

import pytest

pytestmark = pytest.mark.xdist_group('shards')

program = '''
import sys
from pathlib import Path

import numpy as np
import torch
from semids.items import ItemVectors
from semids.processes import n_processes, rank
from semids.rqvae import RQVAE, RQVAESettings
from semids.semantic_ids import SemanticIDSettings, make_ids, write_ids

torch.set_num_threads(1)
if int(sys.argv[2])>1: torch.distributed.init_process_group('gloo')
assert n_processes() == int(sys.argv[2])

# vectors of three decimals in few directions: items share their codes
rng = np.random.default_rng(0)
item_ids = np.array([f'item{n}' for n in rng.permutation(17_000)])
x = (rng.normal(size=(17_000, 6)) @ rng.normal(size=(6, 16))).round(3).astype(np.float32)
torch.manual_seed(0)
model = RQVAE(16, 0, RQVAESettings(C=8, M=3, K=128, hidden=(16,), alpha=0.)).eval()
with torch.no_grad():
    z = model.encode(torch.from_numpy(x))
    # codewords that are used: latent vectors, and ever smaller steps from them
    for m, at in enumerate(z[:384].split(128)): model.codebooks_MKC[m] = (at-z.mean(0)*(m>0))*.4**m

def pieces(size):
    for n in range(0, len(x), size): yield ItemVectors(item_ids[n:n+size], x[n:n+size])

whole = ItemVectors(item_ids, x)
for how in ('code', 'reassign'):
    settings = SemanticIDSettings(collisions=how)
    made = {'whole': make_ids(model, whole, settings)}
    for size in (17_000, 7001, 333):
        made[size] = make_ids(model, lambda: pieces(size), settings)
    for name, (ids, before) in made.items():
        assert before.equal(made['whole'][1]), (how, name)
        assert len(before.unique(dim=0)) < len(x), 'nothing collides: the test shows nothing'
        write_ids(ids, Path(sys.argv[1])/f'{how}-{name}-{rank()}.json')
# nobody leaves while another one still connects
if n_processes()>1:
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
'''

def run(folder, n):
    "Semantic IDs as every process of a run of `n` has written them: file name to bytes"
    (folder/'program.py').write_text(program)
    out = folder/str(n)
    torchrun = ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={n}']
    command = [sys.executable, *(torchrun if n>1 else []), folder/'program.py', out, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return {p.name: p.read_bytes() for p in sorted(out.iterdir())}

@pytest.fixture(scope='module')
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp('shards')
    return {n: run(folder, n) for n in (1, 2)}

@pytest.mark.parametrize('how', ['code', 'reassign'])
def test_same_bytes(written, how):
    expected = written[1][f'{how}-whole-0.json']
    assert expected.count(b'\n') == 17_002
    found = {(n, name): text for n, files in written.items() for name, text in files.items()
             if name.startswith(how)}
    # four ways by the only process, and by each of two
    assert len(found) == 12
    assert not [place for place, text in found.items() if text != expected]

def test_repairs_differ(written):
    assert written[1]['code-whole-0.json'] != written[1]['reassign-whole-0.json']
