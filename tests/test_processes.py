"Two processes learn what one learns"
import subprocess
import sys
from pathlib import Path

import torch

program = '''
import sys, torch
from accelerate import PartialState
from semids.data import leave_one_out, toy_shop
from semids.sasrec import train_sasrec
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64) # so that a difference is a fault and not rounding, which Adam enlarges
split = leave_one_out(toy_shop(n_users=1500).interactions)
model, found = train_sasrec(split, dropout=0., epochs=2, batch_size=100, lr=1e-3, cpu=True)
assert PartialState().num_processes == int(sys.argv[2])
if PartialState().is_main_process: torch.save({k: v.clone() for k, v in model.state_dict().items()}, sys.argv[1])
'''

def test_two_processes_learn_what_one_learns(tmp_path):
    (tmp_path/'program.py').write_text(program)
    for n in (1, 2):
        done = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={n}', tmp_path/'program.py', tmp_path/f'{n}.pt', str(n)],
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(tmp_path/f'{n}.pt', weights_only=True) for n in (1, 2))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-12, msg=lambda m: f'{name}: {m}')
