"Two processes learn what one learns, dropout included"
import json
import subprocess
import sys

import torch

program = '''
import json, sys, torch
from semids.checkpoints import Checkpoints
from semids.conversion import make_sequences
from semids.processes import n_processes, rank
from semids.sasrec import SASRecSettings, SequenceTraining, train_sasrec
from semids.semantic_ids import SemanticIDs
from semids.splits import leave_one_out
from semids.rq_transformer import RQTransformerSettings, train_rq_transformer
from semids.tiger import GeneratorTraining, TIGERSettings, TIGERTraining, train_tiger
from semids.toy_shop import toy_shop


torch.set_num_threads(1)
ixs = toy_shop(n_users=700).interactions
# 101 examples in a batch: the shares are not equal
options = dict(steps=50, every=1, batch_size=101, lr=1e-3, schedule='constant')

def sasrec(**where):
    # in float64 a difference is a fault and not rounding, which Adam enlarges
    torch.set_default_dtype(torch.float64)
    settings = SASRecSettings(dropout=.3, max_len=10)
    found = train_sasrec(leave_one_out(ixs), settings, SequenceTraining(**options), **where)[1]
    torch.set_default_dtype(torch.float32)
    return found

def tiger(causal, **where):
    n = torch.arange(len(ixs.item_ids))
    seqs = make_sequences(ixs, SemanticIDs(ixs.item_ids, torch.stack([n//16, n%16], 1), 16))
    settings = TIGERSettings(d=16, heads=2, d_head=8, d_ff=32, layers=1, max_len=5, dropout=.2,
                             causal=causal)
    training = TIGERTraining(**options, valid_users=20, valid_beams=5)
    return train_tiger(seqs, settings, training, **where)[1]

def rq_transformer(**where):
    n = torch.arange(len(ixs.item_ids))
    seqs = make_sequences(ixs, SemanticIDs(ixs.item_ids, torch.stack([n//16, n%16], 1), 16))
    settings = RQTransformerSettings(d=16, heads=2, d_ff=32, max_len=5, dropout=.2)
    training = GeneratorTraining(**options, valid_users=20, valid_beams=5, average=.9)
    h_ND, x_NE = torch.randn(2, len(n), 8, generator=torch.Generator().manual_seed(0))
    return train_rq_transformer(seqs, h_ND, x_NE, settings, training, **where)[1]

def numbers(train, name, *arguments):
    found = train(*arguments, checkpoints=Checkpoints(f'{sys.argv[1]}/{name}'), cpu=True)
    return dict(loss=[point['loss'] for point in found['train']],
                score=[point['score'] for point in found['valid']])

found = dict(sasrec=numbers(sasrec, 'sasrec'), causal=numbers(tiger, 'causal', True),
             tiger=numbers(tiger, 'tiger', False),
             rq_transformer=numbers(rq_transformer, 'rq'), processes=n_processes())
if rank()==0: open(f'{sys.argv[1]}.json', 'w').write(json.dumps(found))
# nobody leaves while another one still connects
if n_processes()>1:
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
'''

def learn(tmp_path, n):
    "What trainings by n processes have found"
    (tmp_path/'program.py').write_text(program)
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    program_of_n = [f'--nproc_per_node={n}', tmp_path/'program.py', tmp_path/str(n)]
    done = subprocess.run([*torchrun, *program_of_n],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path/f'{n}.json').read_text())
    assert found['processes'] == n
    return found

def test_two_processes_learn_what_one_learns(tmp_path, record_property):
    one, two = (learn(tmp_path, n) for n in (1, 2))
    for model, tolerance in dict(sasrec=1e-11, causal=1e-5, tiger=1e-5,
                                 rq_transformer=1e-5).items():
        loss, other = (torch.tensor(found[model]['loss']) for found in (one, two))
        difference = (loss-other).abs().max().item()
        record_property(f'{model}: largest difference of the losses', difference)
        assert difference < tolerance, model
        # they did learn: the loss has fallen by far more
        assert loss[0]-loss[-1] > 1000*tolerance, model
    assert one['sasrec']['score'] == two['sasrec']['score']
