"Two processes learn what one learns"
import subprocess
import sys

import torch

program = '''
import sys, torch
from accelerate import PartialState
from semids.sasrec import SASRecSettings, train_sasrec
from semids.splits import leave_one_out
from semids.toy_shop import toy_shop
from semids.training import TrainingSettings

torch.set_num_threads(1)
# so that a difference is a fault and not rounding, which Adam enlarges
torch.set_default_dtype(torch.float64)
split = leave_one_out(toy_shop(n_users=1500).interactions)
training = TrainingSettings(steps=30, every=15, batch_size=100, lr=1e-3, schedule='constant')
model, found = train_sasrec(split, SASRecSettings(dropout=0.), training, folder=sys.argv[3],
                            cpu=True)
assert PartialState().num_processes == int(sys.argv[2])
if PartialState().is_main_process:
    torch.save({k: v.clone() for k, v in model.state_dict().items()}, sys.argv[1])
'''

def test_two_processes_learn_what_one_learns(tmp_path):
    (tmp_path/'program.py').write_text(program)
    for n in (1, 2):
        torchrun = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
        arguments = [tmp_path/'program.py', tmp_path/f'{n}.pt', str(n), tmp_path/f'best{n}']
        done = subprocess.run([*torchrun, f'--nproc_per_node={n}', *arguments],
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(tmp_path/f'{n}.pt', weights_only=True) for n in (1, 2))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-12,
                                   msg=lambda m: f'{name}: {m}')
    # one of the processes writes the best weights as they are found
    assert all((tmp_path/f'best{n}'/'best.safetensors').exists() for n in (1, 2))
