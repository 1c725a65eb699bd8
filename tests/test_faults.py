"A disk that fails, a file that changes, two programs at once, a program that is killed"
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors
from kills import SETTINGS, result, write_shop

import semids.pipeline
import semids.recommender
from semids.checkpoints import read_tensors, write_tensors
from semids.pipeline import STEPS, Run, read_settings, run_command, run_step

FEW = {'sasrec': 20, 'rqvae': 20, 'tiger': 10, 'rq_transformer': 10}

@pytest.fixture
def shop(tmp_path):
    "A small shop with settings that run in a second"
    write_shop(tmp_path)
    settings = json.loads(json.dumps(SETTINGS))
    for step, steps in FEW.items():
        settings[step]['training'] |= {'steps': steps, 'every': steps//2}
    (tmp_path/'settings.json').write_text(json.dumps(settings))
    return tmp_path

def run(shop, out='out', steps=tuple(STEPS), *options):
    where = ['--params', shop/'settings.json', '--data', shop, '--out', shop/out]
    return run_command('faults', steps, [*map(str, where), '--device', 'cpu', *options])

class Faults:
    "Counts the files that appear below a folder; one of them fails"
    def __init__(self, monkeypatch, folder, fails=None, number=errno.ENOSPC):
        self.writes = 0
        replace = os.replace
        def replace_or_fail(source, target):
            if folder in Path(target).parents:
                self.writes += 1
                if self.writes == fails: raise OSError(number, os.strerror(number), str(target))
            return replace(source, target)
        monkeypatch.setattr(os, 'replace', replace_or_fail)

def test_a_disk_that_fails_at_every_write_in_turn(shop, monkeypatch, capsys):
    "One line, exit code 1, no half file; and the same command finishes it with the same files"
    assert run(shop, 'whole') == 0
    whole = result(shop/'whole')
    with monkeypatch.context() as patch:
        counted = Faults(patch, shop/'counted')
        assert run(shop, 'counted') == 0
    assert counted.writes > 20
    # each of them in the long form; here every fifth, and the last
    step = 1 if os.environ.get('SEMIDS_LONG') else 5
    numbers = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT]
    for n in {*range(1, counted.writes+1, step), counted.writes}:
        out = f'fails{n}'
        with monkeypatch.context() as patch:
            Faults(patch, shop/out, n, numbers[n % 4])
            capsys.readouterr()
            assert run(shop, out) == 1, n
        lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('error: ')]
        assert len(lines) == 1 and os.strerror(numbers[n % 4]) in lines[0] and out in lines[0]
        assert not list((shop/out).rglob('*.part'))
        assert run(shop, out) == 0
        assert result(shop/out) == whole, n

@pytest.mark.parametrize('library', ['torch', 'numpy'])
def test_a_full_disk_as_safetensors_tells_it(shop, library, monkeypatch, capsys):
    "Its own error is not an OSError: models, embeddings and sequences say the same line"
    def full(*args): raise safetensors.SafetensorError('No space left on device')
    monkeypatch.setattr(f'safetensors.{library}.save_file', full)
    assert run(shop, 'out', ['sasrec']) == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('error: ')]
    assert len(lines) == 1 and '.safetensors: No space left on device' in lines[0]

@pytest.mark.parametrize('place', ['a file', 'read-only'])
def test_no_place_for_the_output(shop, place, capsys):
    out = shop/'out'
    if place == 'a file': out.write_text('')
    else:
        if os.geteuid() == 0: pytest.skip('nothing is read-only for root')
        out.mkdir(mode=0o500)
    assert run(shop) == 1
    assert len([x for x in capsys.readouterr().err.splitlines() if x.startswith('error: ')]) == 1

def test_files_of_one_name_in_two_folders(shop, capsys):
    "h/shop.txt and v/shop.pkl are two files, also when only the suffix tells them apart"
    for folder in ('h', 'v'): (shop/folder).mkdir()
    (shop/'all.txt').rename(shop/'h/shop')
    (shop/'h/shop').rename(shop/'h/shop.txt')
    (shop/'vectors.pkl').rename(shop/'v/shop.pkl')
    options = ['--set', 'data.interactions=h/shop.txt', '--set', 'data.vectors=v/shop.pkl']
    assert run(shop, 'out', ['sasrec'], *options) == 0
    text = (shop/'h/shop.txt').read_text()
    (shop/'h/shop.txt').write_text('\n'.join(reversed(text.splitlines()))+'\n')
    capsys.readouterr()
    assert run(shop, 'out', ['sasrec'], *options) == 0
    assert 'unchanged' not in capsys.readouterr().out

def test_an_input_that_changes_while_a_step_runs(shop, monkeypatch, capsys):
    train = semids.pipeline.train_sasrec
    def train_and_change(*args, **kwargs):
        (shop/'all.txt').open('a').write('u99 i1 i2 i3 i4\n')
        return train(*args, **kwargs)
    monkeypatch.setattr(semids.pipeline, 'train_sasrec', train_and_change)
    assert run(shop, 'out', ['sasrec']) == 2
    says = "all.txt: it was changed while step 'sasrec' was running; the result is not kept"
    assert says in capsys.readouterr().err
    assert not (shop/'out/checkpoints/small/records/sasrec.json').exists()

def test_a_model_keeps_the_ids_it_was_trained_with(shop):
    "Steps 1 to 3 of another seed come in between: TIGER and its IDs stay together"
    assert run(shop) == 0
    folder = shop/'out/checkpoints/small'
    before = (folder/'tiger/semantic_ids.json').read_bytes()
    assert run(shop, 'out', ['sasrec', 'rqvae', 'semantic_ids'], '--seed', '1') == 0
    assert (folder/'semantic_ids.json').read_bytes() != before
    assert (folder/'tiger/semantic_ids.json').read_bytes() == before
    semids.recommender.Recommender.load(folder).recommend(['i1', 'i2'], k=3)

def test_two_programs_in_one_run(shop, capsys):
    settings = read_settings(shop/'settings.json')
    first = Run(settings, shop, shop/'out', 'cpu')
    with first.alone():
        # the lock belongs to a program: another one must ask
        program = 'import sys; from semids.pipeline import semids_sasrec; sys.exit(semids_sasrec())'
        done = subprocess.run([sys.executable, '-c', program, '--params', shop/'settings.json',
                               '--data', shop, '--out', shop/'out', '--device', 'cpu'],
                              capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    says = f'another program is at work here (process {os.getpid()} on '
    assert says in done.stderr and 'take another --name' in done.stderr
    # and when the first has gone, nothing is in the way
    assert run(shop, 'out', ['sasrec']) == 0

@pytest.mark.parametrize('change,name', [
    ({'sasrec': {'training': {'lr': .002}}}, 'sasrec.training.lr'), ({'seed': 3}, 'seed')])
def test_a_checkpoint_of_other_settings_is_named_and_not_used(shop, change, name, monkeypatch,
                                                              capsys):
    stop_before_the_end(shop, monkeypatch)
    other = Run(read_settings(shop/'settings.json').update(change), shop, shop/'out', 'cpu')
    run_step(other, 'sasrec')
    said = capsys.readouterr().err
    assert f'it was made with another settings.{name}; this training begins at step 0' in said

def stop_before_the_end(shop, monkeypatch):
    "Leave a checkpoint of step 1"
    with monkeypatch.context() as patch:
        patch.setattr(semids.pipeline, 'write_embeddings', lambda *args: 1/0)
        with pytest.raises(ZeroDivisionError): run(shop, 'out', ['sasrec'])
    assert list((shop/'out/checkpoints/small/sasrec/checkpoints').iterdir())

def test_a_training_that_has_ended_is_not_repeated_because_of_what_came_after(shop, monkeypatch,
                                                                              capsys):
    stop_before_the_end(shop, monkeypatch)
    capsys.readouterr()
    assert run(shop, 'out', ['sasrec']) == 0
    assert 'going on from step 20 of 20' in capsys.readouterr().err
    # what nobody needs any more is gone
    assert not (shop/'out/checkpoints/small/sasrec/checkpoints').exists()

def test_a_checkpoint_of_an_earlier_release_is_refused_by_a_sentence(shop, monkeypatch, capsys):
    "0.1.0 left no checkpoints; a file of weights stands for one that says nothing of itself"
    stop_before_the_end(shop, monkeypatch)
    for path in (shop/'out/checkpoints/small/sasrec/checkpoints').iterdir():
        tensors, _ = read_tensors(path)
        write_tensors(tensors, path)
    capsys.readouterr()
    assert run(shop, 'out', ['sasrec']) == 0
    assert 'it is not a checkpoint of this version; this training begins' in capsys.readouterr().err

def test_checkpoints_hold_no_code(shop, monkeypatch):
    "They are safetensors, read back by a library that executes nothing"
    stop_before_the_end(shop, monkeypatch)
    for path in (shop/'out/checkpoints/small/sasrec/checkpoints').iterdir():
        tensors, about = read_tensors(path)
        assert {name.split('/')[0].split()[0] for name in tensors} == {
            'model', 'best', 'optimizer', 'random'}
        assert about['state']['step'] in (10, 20)

def test_killed_runs_end_as_undisturbed_ones(tmp_path):
    "Files byte for byte, curves point for point; `robustness.py` does it twenty times"
    call = [sys.executable, Path(__file__).parent/'kills.py', tmp_path, '--runs', '1']
    done = subprocess.run(call, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found['differing'] == {}
    assert found['kills'] > 0

STEADY = '''
import torch
from pathlib import Path
from semids.conversion import make_sequences
from semids.semantic_ids import SemanticIDs
from semids.tiger import TIGERSettings, TIGERTraining, train_tiger, tiger_batches, TIGER
from semids.toy_shop import toy_shop
from semids.training import fit

torch.set_num_threads(1)
ixs = toy_shop(n_users=1000).interactions
n = torch.arange(len(ixs.item_ids))
seqs = make_sequences(ixs, SemanticIDs(ixs.item_ids, torch.stack([n//16, n%16], 1), 16))
model = TIGER(2, 16, TIGERSettings(d=32, heads=2, d_head=16, d_ff=64, layers=1, max_len=20))
def megabytes(model):
    kilobytes = next(x for x in Path('/proc/self/status').read_text().splitlines() if 'VmRSS' in x)
    return dict(score=float(kilobytes.split()[1])/1024)
settings = TIGERTraining(steps=600, every=100, batch_size=64)
found = fit(model, tiger_batches(seqs, model, 64), settings, megabytes, cpu=True)
print([point['score'] for point in found['valid']])
'''

@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='Linux says how much it is')
def test_memory_stays_flat_over_batches_of_many_lengths():
    call = [sys.executable, '-c', STEADY]
    done = subprocess.run(call, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    _, second, *_, last = json.loads(done.stdout)
    assert last < 1.1*second, done.stdout
