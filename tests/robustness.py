"""Everything that attacks the library, at length; what was found goes to a file.

    python tests/robustness.py --out nbs/results/robustness.json     # a quarter of an hour

10,000 examples for each fuzz test, 20 runs that are killed again and again, every write that
fails in turn. The short forms of the same tests run with all others.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import semids

here = Path(__file__).parent
LONG = {'HYPOTHESIS_PROFILE': 'long', 'SEMIDS_LONG': '1'}

def pytest(file):
    "Run a file of tests in its long form: its cases, and what was printed"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder)/'report.xml'
        call = [sys.executable, '-m', 'pytest', '-q', '--hypothesis-show-statistics',
                f'--junitxml={report}', str(file)]
        done = subprocess.run(call, capture_output=True, text=True, env=os.environ | LONG,
                              cwd=here.parent)
        # no report: the tests have ended the interpreter
        if not report.exists():
            raise RuntimeError(f'{file}: {done.stdout[-500:]}{done.stderr}')
        return list(ElementTree.parse(report).getroot().iter('testcase')), done.stdout

def kill(runs=20):
    "What `kills.py` has found"
    with tempfile.TemporaryDirectory() as folder:
        call = [sys.executable, here/'kills.py', folder, '--runs', str(runs)]
        return json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout)

def outcome(case):
    "Passed, failed or skipped?"
    if case.find('skipped') is not None: return 'skipped'
    is_bad = case.find('failure') is not None or case.find('error') is not None
    return 'failed' if is_bad else 'passed'

def rows(cases):
    "Cases of one test function together: how many, how many passed"
    found = {}
    for case in cases:
        if outcome(case) == 'skipped': continue
        file = case.get('classname').rpartition('.')[2]
        key = (file, case.get('name').partition('[')[0])
        row = found.setdefault(key, dict(file=file, test=key[1], cases=0, passed=0, seconds=0))
        row['cases'] += 1
        row['passed'] += outcome(case) == 'passed'
        row['seconds'] = round(row['seconds']+float(case.get('time')), 1)
        for p in case.iter('property'): row[p.get('name')] = float(p.get('value'))
    return list(found.values())

def examples(printed):
    "How many examples Hypothesis has tried in each test, from its statistics"
    found = {}
    test = None
    for line in printed.splitlines():
        name = re.match(r'\S+::(\w+)(?:\[.*\])?:$', line)
        if name: test = name[1]
        passing = re.search(r'(\d+) passing, (\d+) failing', line)
        if test and passing: found[test] = found.get(test, 0)+sum(map(int, passing.groups()))
    return found

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    began = time.time()
    fuzz_files = sorted(here.glob('test_*fuzz*.py'))
    other_files = [here/f'test_{name}.py'
                   for name in ('hostile', 'recommender', 'faults', 'processes')]
    # two at a time, each on a thread of its own
    with ThreadPoolExecutor(2) as pool:
        kills = pool.submit(kill)
        fuzz = list(pool.map(pytest, fuzz_files))
        others = list(pool.map(pytest, other_files))
        kills = kills.result()
    tried = {}
    for _, printed in fuzz: tried |= examples(printed)
    fuzz = rows(case for cases, _ in fuzz for case in cases)
    fuzz = [row | dict(examples=tried.get(row['test'], 0)) for row in fuzz]
    found = dict(version=semids.__version__, python=sys.version.split()[0],
                 cores=os.cpu_count(), kills=kills, fuzz=fuzz,
                 cases=rows(case for cases, _ in others for case in cases),
                 seconds=round(time.time()-began))
    args.out.write_text(json.dumps(found, indent=1)+'\n')
    bad = [row for row in found['fuzz']+found['cases'] if row['passed'] < row['cases']]
    for row in bad: print(row)
    return len(bad)+len(kills['differing'])

if __name__ == '__main__': sys.exit(main())
