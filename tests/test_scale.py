"What is asked of a large catalogue, and of several processes"
import subprocess
import sys

import numpy as np
import pytest
import torch

from semids.evaluation import Markov, Popularity, evaluate
from semids.splits import leave_one_out, split_histories
from semids.toy_shop import toy_shop

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
