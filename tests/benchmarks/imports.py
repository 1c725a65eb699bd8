"""How much `import semids.tiger` adds to `import torch`: seconds, fresh processes in turn.

    python tests/benchmarks/imports.py
"""
import argparse, json, statistics, subprocess, sys, time
from pathlib import Path
from sidebyside import machine

def seconds(code):
    start = time.perf_counter()
    subprocess.run([sys.executable, '-c', code], check=True)
    return time.perf_counter()-start

if __name__=='__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=11)
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    # warm-up
    seconds('import semids.tiger')
    alone,both = [],[]
    for _ in range(options.rounds):
        alone.append(seconds('import torch'))
        both.append(seconds('import torch, semids.tiger'))
    added = statistics.median(b-a for a,b in zip(alone, both))
    result = dict(benchmark='imports', rounds=options.rounds, machine=machine(),
                  torch=statistics.median(alone), semids=statistics.median(both), added=added)
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
    print({k:round(v, 2) for k,v in result.items() if isinstance(v, float)})
