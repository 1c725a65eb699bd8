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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=11)
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    seconds('import semids.tiger')                                           # warm-up
    found = [(seconds('import torch'), seconds('import torch, semids.tiger')) for _ in range(options.rounds)]
    result = dict(benchmark='imports', rounds=options.rounds, machine=machine(), torch=statistics.median(t for t,_ in found),
                  semids=statistics.median(s for _,s in found), added=statistics.median(s-t for t,s in found))
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
    print({k:round(v, 2) for k,v in result.items() if isinstance(v, float)})
