"What is asked of a large catalogue, and of several processes"
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from semids.evaluation import Markov, Popularity, evaluate, rank
from semids.rqvae import RQVAE, RQVAESettings, latents, measure, revive
from semids.sasrec import SASRec, SASRecSettings
from semids.splits import leave_one_out, split_histories
from semids.toy_shop import toy_shop

pytestmark = pytest.mark.xdist_group('scale')

shared_program = '''
import sys, torch, torch.distributed as dist
from semids.evaluation import Markov, evaluate
from semids.splits import leave_one_out
from semids.toy_shop import toy_shop

dist.init_process_group('gloo')
assert dist.get_world_size() == int(sys.argv[2])
split = leave_one_out(toy_shop(n_users=1501).interactions)
asked = []
def markov(history_BT, k, mask_seen=True):
    asked.append(len(history_BT))
    return Markov(split)(history_BT, k, mask_seen)
found = evaluate(markov, split.test, split.count_N, batch_size=64)
# more processes than users: somebody has nothing to do, and must not wait for ever
one = evaluate(markov, split.test.subset(torch.arange(1)), split.count_N)
torch.save((found.items_Uk, one.items_Uk, sum(asked)), f'{sys.argv[1]}.{dist.get_rank()}')
dist.barrier()
dist.destroy_process_group()
'''

def torchrun(folder, program, n):
    "What `n` processes have saved"
    (folder/'program.py').write_text(program)
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    arguments = [folder/'program.py', folder/f'of{n}', str(n)]
    done = subprocess.run([*command, f'--nproc_per_node={n}', *arguments],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder/f'of{n}.{rank}') for rank in range(n)]

def test_processes_share_the_users(tmp_path):
    split = leave_one_out(toy_shop(n_users=1501).interactions)
    alone = evaluate(Markov(split), split.test, split.count_N).items_Uk
    saved = torchrun(tmp_path, shared_program, 2)
    for items_Uk, one_Uk, _ in saved:
        assert torch.equal(items_Uk, alone)
        assert torch.equal(one_Uk, alone[:1])
    # 1501 users and 1: nobody was asked for twice
    assert [asked for _, _, asked in saved] == [752, 750]

N = 300_000
MB = 2**20

class Largest(TorchDispatchMode):
    "The most bytes that one tensor takes while this is on; a view counts as what it looks at"
    bytes = 0
    def __torch_dispatch__(self, fn, types, args=(), kwargs=None):
        out = fn(*args, **(kwargs or {}))
        for t in out if isinstance(out, (tuple, list)) else [out]:
            if torch.is_tensor(t): self.bytes = max(self.bytes, t.untyped_storage().nbytes())
        return out

@pytest.fixture(scope='module')
def split():
    items_A = N*np.random.default_rng(0).random(20_000)**3
    return split_histories(np.arange(N), items_A.astype(np.int32), np.arange(0, 20_001, 10))

def test_largest_sees_a_row_of_scores_for_each_user():
    with Largest() as largest: rank(torch.rand(8, N), torch.full((8, 1), -1), 10)
    assert largest.bytes >= 8*N*4

@pytest.mark.parametrize('make', [Popularity, Markov, lambda split: Markov(split, backoff=True)],
                         ids=['popularity', 'markov', 'backoff'])
def test_baselines_score_no_catalogue_for_each_user(split, make):
    recommender = make(split)
    with Largest() as largest: evaluate(recommender, split.test, split.count_N)
    # the order of the catalogue is 2.3 MB; a row of N for each of 256 users were 293 MB and more
    assert largest.bytes < 4*MB

def test_sasrec_scores_some_users_at_a_time(split):
    torch.manual_seed(0)
    model = SASRec(N, SASRecSettings(d=8)).eval()
    history_BT = split.test.histories(torch.arange(256))
    with torch.inference_mode(), Largest() as largest: items_Bk, _ = model.recommend(history_BT, 10)
    assert largest.bytes <= 128*MB
    with torch.inference_mode(): whole_Bk, _ = rank(model.scores(history_BT), history_BT, 10)
    assert (items_Bk == whole_Bk).float().mean() > .999

def test_the_checks_of_an_rqvae_take_a_piece_at_a_time():
    torch.manual_seed(0)
    x_NE = torch.randn(N, 8)
    settings = RQVAESettings(C=8, M=2, K=64, hidden=(8,), alpha=0.)
    model = RQVAE(8, settings=settings).eval()
    with torch.inference_mode(), Largest() as largest:
        measure(model, [x_NE], 1024)
        revive(model, latents(model, x_NE), torch.Generator().manual_seed(0))
    # the vectors are 9 MB; distances of all items to all codewords were 73 MB
    assert largest.bytes < 12*MB
