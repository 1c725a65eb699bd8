"""Two or more programs side by side: each in a process of its own, asked in turn, in one run.

A benchmark is a script with a dict from names to functions. Each function sets its program up and returns a function that does one
round of work and returns how many units it did (and, where a part of the round shall not count, the seconds of the rest). `main`
starts the script once for every name as a worker, warms each up with one round, then asks them in turn, every other time in reverse,
so that whatever else the machine does meets all of them alike.
"""
import argparse, json, os, platform, statistics, subprocess, sys, time
from importlib.metadata import version
from pathlib import Path

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
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter: units = work()   # fused attention is not counted, so it is taken apart
    return counter.get_total_flops()/(units[0] if isinstance(units, tuple) else units)

def mib(key):
    "Memory of this process: VmRSS, what it holds now, or VmHWM, the most it has held since `forget_peak`"
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith(key))/1024

def forget_peak(torch, device):
    "From here on count the most memory anew"
    Path('/proc/self/clear_refs').write_text('5')
    if device=='cuda': torch.cuda.reset_peak_memory_stats()

def serve(make, device, threads):
    "A worker: reads a line, does a round, answers with a line of JSON"
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)                                             # what libraries print is no answer
    import torch
    torch.set_num_threads(threads)
    before = mib('VmRSS')
    work,about = make(device)                                 # about: dict(precision=..., flops=does the counter see this work?)
    dtype = dict(fp32=torch.float32, bf16=torch.bfloat16)[about.get('precision', 'fp32')]
    about['flops'] = flops(torch, work) if about.get('flops') else None
    forget_peak(torch, device)                                # the counting of operations takes memory of its own
    print(json.dumps(about), file=answers)
    for line in sys.stdin:
        if line.strip()=='peak': answer = dict(peak=matmul_peak(torch, device, dtype))
        else:
            start = time.perf_counter()
            units = work()
            if device=='cuda': torch.cuda.synchronize()
            units,seconds = units if isinstance(units, tuple) else (units,time.perf_counter()-start)
            answer = dict(units=units, seconds=seconds, mib=torch.cuda.max_memory_allocated()/2**20 if device=='cuda' else mib('VmHWM')-before)
        print(json.dumps(answer), file=answers)

class Worker:
    def __init__(self, python, name, options):
        self.name = name
        command = [python, sys.argv[0], '--worker', name, '--device', options.device, '--threads', str(options.threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | dict(OMP_NUM_THREADS=str(options.threads)))
        self.about = self.answer()
    def answer(self):
        line = self.process.stdout.readline()
        if not line: sys.exit(f'{self.name}: the worker has died')
        return json.loads(line)
    def ask(self, what='round'):
        print(what, file=self.process.stdin, flush=True)
        return self.answer()

def machine():
    "What the numbers of a run depend on"
    cpu = next((l.split(':')[1].strip() for l in Path('/proc/cpuinfo').read_text().splitlines() if l.startswith('model name')), 'unknown')
    return dict(cpu=cpu, cores=os.cpu_count(), date=time.strftime('%Y-%m-%d'), python=platform.python_version(), torch=version('torch'), transformers=version('transformers'))

def main(programs, unit, peers=(), same=None, prepare=lambda: None, **more):
    """Run a benchmark from the command line; `peers` are the programs that run in the peers' environment, `same` is what all programs
    tell about themselves alike: a list; `prepare` is called once, before the first program starts; `more` goes into the result"""
    parser = argparse.ArgumentParser()
    parser.add_argument('names', nargs='*', default=list(programs), metavar='NAME', help='which programs; the first is what the others are compared with')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--device', default='cpu', choices=['cpu','cuda'])
    parser.add_argument('--peers', default=sys.executable, help='Python of the environment made from peers.txt')
    parser.add_argument('--out', type=Path, help='JSON file to write')
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names)-set(programs): parser.error(f'no program {sorted(unknown)}; there are {list(programs)}')
    if options.worker: return serve(programs[options.worker], options.device, options.threads)
    prepare()
    workers = [Worker(options.peers if name in peers else sys.executable, name, options) for name in options.names]
    for w in workers: w.ask()                                                                   # warm-up
    rounds = {w.name:[] for w in workers}
    for i in range(options.rounds):
        for w in workers[::1 if i%2==0 else -1]: rounds[w.name].append(w.ask())
    speed = {name:[r['units']/r['seconds'] for r in found] for name,found in rounds.items()}
    first,rows = options.names[0],[]
    for w in workers:
        peak,done,median = w.ask('peak')['peak'],w.about['flops'],statistics.median(speed[w.name])
        rows.append(dict(name=w.name, precision=w.about.get('precision'), units_per_second=median, lowest=min(speed[w.name]), highest=max(speed[w.name]),
            ratio=statistics.median(speed[first])/median, share_of_peak=done*median/peak if done else None, peak_gflops=peak/1e9,
            mib=max(r['mib'] for r in rounds[w.name]), **{k:v for k,v in w.about.items() if k not in ('precision','flops',same)}))
        w.process.stdin.close()
        w.process.wait()
    result = dict(benchmark=Path(sys.argv[0]).stem, unit=unit, rounds=options.rounds, device=options.device, threads=options.threads, machine=machine(), rows=rows, **more)
    if same and len(workers)>1:
        expected,*others = [w.about[same] for w in workers]
        result['same'] = min(sum(a==b for a,b in zip(expected, other))/len(expected) for other in others)
        print(f'the same results for {result["same"]:.1%} of {len(expected)}')
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
    print(f"{unit} per second, median of {options.rounds} rounds in turn, {options.threads} threads\n")
    print(f"{'':28}{'median':>10}{'lowest':>10}{'highest':>10}{'ours is':>10}{'of peak':>9}{'MiB':>8}")
    for r in rows:
        share = '' if r['share_of_peak'] is None else f"{r['share_of_peak']:.0%}"
        print(f"{r['name']:28}{r['units_per_second']:10.4g}{r['lowest']:10.4g}{r['highest']:10.4g}{r['ratio']:9.2f}x{share:>9}{r['mib']:8.0f}")
    return result
