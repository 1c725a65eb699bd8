"""Kill a small run again and again, let the same command finish it, and compare the files.

    python tests/kills.py FOLDER --runs 20 --seed 0      # prints a line of JSON

A program that has imported everything forks the runs: each is a real process and begins at once.
"""
import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import pickle
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from semids.checkpoints import Checkpoints
from semids.pipeline import STEPS, run_command

SETTINGS = {
    'name': 'small', 'threads': 1,
    'data': {'interactions': 'all.txt', 'vectors': 'vectors.pkl'},
    'sasrec': {'model': {'d': 8, 'max_len': 20, 'dropout': .2, 'loss': 'bce'},
               'training': {'steps': 300, 'every': 40, 'batch_size': 16}},
    'rqvae': {'model': {'M': 2, 'K': 8, 'C': 4, 'hidden': [8], 'dropout': .1},
              'training': {'steps': 300, 'every': 30, 'batch_size': 12}},
    'tiger': {'model': {'d': 16, 'heads': 2, 'd_head': 8, 'd_ff': 16, 'layers': 1, 'max_len': 4,
                        'dropout': .2},
              'training': {'steps': 200, 'every': 50, 'warmup': 10, 'batch_size': 16}},
    'rq_transformer': {'model': {'d': 16, 'heads': 2, 'd_ff': 16, 'max_len': 4, 'content': 4},
                       'training': {'steps': 200, 'every': 50, 'warmup': 10, 'batch_size': 16,
                                    'average': .9}}}

def write_shop(folder):
    "Thirty users who walk around a circle of twelve items"
    users = {f'u{u}': [f'i{(u+t) % 12}' for t in range(6)] for u in range(30)}
    ids = [f'i{n}' for n in range(12)]
    lines = [f"{u} {' '.join(items)}\n" for u, items in users.items()]
    (folder/'all.txt').write_text(''.join(lines))
    x = np.random.default_rng(0).normal(size=(12, 8)).astype(np.float32)
    (folder/'vectors.pkl').write_bytes(pickle.dumps({'item_id': ids, 'embedding': x}))
    (folder/'settings.json').write_text(json.dumps(SETTINGS))

def command(folder, name, often):
    "The whole pipeline as a user's command, with its output in a file"
    # a checkpoint after every step, or only after validations
    if often: Checkpoints.are_due = True
    where = ['--params', folder/'settings.json', '--data', folder, '--out', folder/name]
    with (folder/f'{name}.log').open('a') as log:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            sys.exit(run_command('kills', STEPS, [*map(str, where), '--device', 'cpu']))

def start(folder, name, often):
    fork = multiprocessing.get_context('fork')
    process = fork.Process(target=command, args=(folder, name, often))
    process.start()
    return process

def without_times(value):
    "The same without what a clock has measured, and without the hash of a file that holds such"
    if not isinstance(value, dict): return value
    clock = ('seconds', 'metrics.json')
    return {name: without_times(v) for name, v in value.items() if name not in clock}

def result(out):
    "All files of a run: hashes, without durations; and the points of its curves"
    found = {}
    for path in sorted((out/'checkpoints').rglob('*')):
        if not path.is_file() or path.name == '.lock': continue
        content = path.read_bytes()
        if path.suffix == '.json': content = json.dumps(without_times(json.loads(content))).encode()
        found[str(path.relative_to(out))] = hashlib.sha256(content).hexdigest()
    for step in ('sasrec', 'rqvae', 'tiger', 'rq_transformer'):
        events = EventAccumulator(str(out/f'tensorboard_logs/small/{step}_logs')).Reload()
        for tag in events.Tags()['scalars']:
            found[f'{step} {tag}'] = [(e.step, e.value) for e in events.Scalars(tag)]
    return found

def disturb(folder, n, seconds, rng):
    "A run with up to four kills at random moments; what was sent, and how it differs at the end"
    name = f'run{n}'
    sent = []
    often = n % 2 == 0
    for _ in range(4):
        process = start(folder, name, often)
        process.join(rng.uniform(0, seconds))
        if process.exitcode is not None: break
        signum = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        os.kill(process.pid, signum)
        process.join(60)
        # it may have ended just before
        if process.exitcode == 0: break
        expected = -signal.SIGKILL if signum == signal.SIGKILL else 128+signum
        assert process.exitcode in (expected, -signum), (process.exitcode, signum)
        sent.append(signal.Signals(signum).name)
    process = start(folder, name, often)
    process.join(300)
    assert process.exitcode == 0, (folder/f'{name}.log').read_text()[-2000:]
    return sent, result(folder/name)

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--runs', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    write_shop(args.folder)
    began = time.time()
    first = start(args.folder, 'undisturbed', False)
    first.join()
    seconds = time.time()-began
    undisturbed = result(args.folder/'undisturbed')
    rng = random.Random(args.seed)
    signals = []
    differing = {}
    for n in range(args.runs):
        sent, found = disturb(args.folder, n, seconds/2, rng)
        signals += sent
        differ = [key for key in undisturbed | found if undisturbed.get(key) != found.get(key)]
        if differ: differing[f'run{n}'] = differ[:5]
    resumed = sum(log.read_text().count('going on from step') for log in args.folder.glob('*.log'))
    counts = {name: signals.count(name) for name in sorted(set(signals))}
    print(json.dumps(dict(runs=args.runs, seed=args.seed, kills=len(signals), signals=counts,
                          went_on_inside_a_training=resumed, files_and_curves=len(undisturbed),
                          differing=differing, seconds=round(time.time()-began, 1))))

if __name__ == '__main__': main()
