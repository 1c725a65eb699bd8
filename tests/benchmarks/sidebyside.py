"""Two or more programs side by side: each in a process of its own, asked in turn, in one run.

A benchmark is a script with a dict from names to functions. Each function sets its program up and
returns a function that does one round of work and returns how many units it did (and, where a part
of the round must not count, the seconds of the rest). `main` starts the script once for every name
as a worker, warms each up with one round, then asks them in turn, every other time in reverse, so
that whatever else the machine does meets all of them alike.
"""
import argparse, json, os, platform, statistics, subprocess, sys, time
from importlib.metadata import version
from pathlib import Path

# ---- in a worker

def matmul_peak(torch, device, dtype, n=2048):
    "Operations per second of a large matrix product: what the machine can do in this precision"
    x = torch.randn(n, n, device=device).to(dtype)
    def once():
        start = time.perf_counter()
        x@x
        if device=='cuda': torch.cuda.synchronize()
        return time.perf_counter()-start
    once()
    return 2*n**3/min(once() for _ in range(7))

def flops(torch, work):
    "Operations of the matrix products of one round, forward and backward, for each of its units"
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode
    # fused attention is not counted, so it is taken apart
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter: units = work()
    if isinstance(units, tuple): units = units[0]
    return counter.get_total_flops()/units

def mib(key):
    "Memory of this process: VmRSS, what it holds now; VmHWM, the most since `forget_peak`"
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))/1024

def forget_peak(torch, device):
    "From here on count the most memory anew"
    Path('/proc/self/clear_refs').write_text('5')
    if device=='cuda': torch.cuda.reset_peak_memory_stats()

def one_round(torch, work, device, before):
    "Units, seconds and memory of one round"
    start = time.perf_counter()
    units = work()
    if device=='cuda': torch.cuda.synchronize()
    seconds = time.perf_counter()-start
    if isinstance(units, tuple): units,seconds = units
    peak = torch.cuda.max_memory_allocated()/2**20 if device=='cuda' else mib('VmHWM')-before
    return dict(units=units, seconds=seconds, mib=peak)

def serve(make, device, threads):
    "A worker: reads a line, does a round, answers with a line of JSON"
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    # what libraries print is no answer
    os.dup2(2, 1)
    import torch
    torch.set_num_threads(threads)
    before = mib('VmRSS')
    # about: dict(precision=..., flops=does the counter see this work?)
    work,about = make(device)
    dtype = torch.bfloat16 if about.get('precision')=='bf16' else torch.float32
    about['flops'] = flops(torch, work) if about.get('flops') else None
    # the counting of operations takes memory of its own
    forget_peak(torch, device)
    print(json.dumps(about), file=answers)
    for line in sys.stdin:
        if line.strip()=='peak': answer = dict(peak=matmul_peak(torch, device, dtype))
        else: answer = one_round(torch, work, device, before)
        print(json.dumps(answer), file=answers)

# ---- in the process that compares

class Worker:
    def __init__(self, python, name, options):
        self.name = name
        threads = str(options.threads)
        command = [python, sys.argv[0], '--worker', name, '--device', options.device]
        self.process = subprocess.Popen(
            [*command, '--threads', threads], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=os.environ | dict(OMP_NUM_THREADS=threads))
        self.about = self.answer()
    def answer(self):
        line = self.process.stdout.readline()
        if not line: sys.exit(f'{self.name}: the worker has died')
        return json.loads(line)
    def ask(self, what='round'):
        print(what, file=self.process.stdin, flush=True)
        return self.answer()
    def close(self):
        self.process.stdin.close()
        self.process.wait()

def machine():
    "What the numbers of a run depend on"
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return dict(cpu=names[0] if names else 'unknown', cores=os.cpu_count(),
                date=time.strftime('%Y-%m-%d'), python=platform.python_version(),
                torch=version('torch'), transformers=version('transformers'))

def arguments(programs):
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add('names', nargs='*', default=list(programs), metavar='NAME',
        help='which programs; the first is what the others are compared with')
    add('--rounds', type=int, default=5)
    add('--threads', type=int, default=os.cpu_count())
    add('--device', default='cpu', choices=['cpu','cuda'])
    add('--peers', default=sys.executable, help='Python of the environment made from peers.txt')
    add('--out', type=Path, help='JSON file to write')
    add('--worker', help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.names)-set(programs)
    if unknown: parser.error(f'no program {sorted(unknown)}; there are {list(programs)}')
    return options

def row_of(worker, found, speeds, first, same):
    "What is told of one program: its speed beside that of the first"
    peak = worker.ask('peak')['peak']
    done = worker.about['flops']
    median = statistics.median(speeds)
    about = {k:v for k,v in worker.about.items() if k not in ('precision','flops',same)}
    return dict(name=worker.name, precision=worker.about.get('precision'),
                units_per_second=median, lowest=min(speeds), highest=max(speeds),
                ratio=first/median, share_of_peak=done*median/peak if done else None,
                peak_gflops=peak/1e9, mib=max(r['mib'] for r in found), **about)

def show(result, unit):
    "The rows as text"
    print(f"{unit} per second, median of {result['rounds']} rounds in turn, "
          f"{result['threads']} threads\n")
    heads = ['median','lowest','highest','ours is','of peak','MiB']
    print(f"{'':28}"+''.join(f'{head:>10}' for head in heads))
    for r in result['rows']:
        share = '' if r['share_of_peak'] is None else f"{r['share_of_peak']:.0%}"
        speeds = ''.join(f'{r[name]:10.4g}' for name in ('units_per_second','lowest','highest'))
        print(f"{r['name']:28}{speeds}{r['ratio']:9.2f}x{share:>10}{r['mib']:10.0f}")

def main(programs, unit, peers=(), same=None, prepare=lambda: None, **more):
    """Run a benchmark from the command line.

    `peers` are the programs that run in the peers' environment; `same` is what all programs tell
    about themselves alike: a list; `prepare` is called once, before the first program starts;
    `more` goes into the result.
    """
    options = arguments(programs)
    if options.worker: return serve(programs[options.worker], options.device, options.threads)
    prepare()
    workers = []
    for name in options.names:
        python = options.peers if name in peers else sys.executable
        workers.append(Worker(python, name, options))
    # warm-up
    for w in workers: w.ask()
    rounds = {w.name:[] for w in workers}
    for i in range(options.rounds):
        in_turn = workers if i%2==0 else workers[::-1]
        for w in in_turn: rounds[w.name].append(w.ask())
    speed = {name:[r['units']/r['seconds'] for r in found] for name,found in rounds.items()}
    first = statistics.median(speed[options.names[0]])
    rows = []
    for w in workers:
        rows.append(row_of(w, rounds[w.name], speed[w.name], first, same))
        w.close()
    result = dict(benchmark=Path(sys.argv[0]).stem, unit=unit, rounds=options.rounds,
                  device=options.device, threads=options.threads, machine=machine(),
                  rows=rows, **more)
    if same and len(workers)>1:
        expected,*others = [w.about[same] for w in workers]
        shares = [sum(a==b for a,b in zip(expected, other))/len(expected) for other in others]
        result['same'] = min(shares)
        print(f'the same results for {result["same"]:.1%} of {len(expected)}')
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
    show(result, unit)
    return result
