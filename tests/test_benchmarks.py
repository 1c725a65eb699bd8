"What measures speed is measured itself"
import json
import subprocess
import sys
from pathlib import Path

folder = Path(__file__).parent/'benchmarks'
results = folder.parents[1]/'nbs/results/speed'

SLEEPERS = """
import sys, time
sys.path.insert(0, {folder!r})
from sidebyside import main
def sleeper(seconds):
    def make(device):
        import torch
        x = torch.randn(64, 64)
        def work():
            time.sleep(seconds)
            x@x
            return 10
        return work,dict(flops=True, items=[1, 2])
    return make
main({{'quick':sleeper(.05), 'slow':sleeper(.15)}}, 'naps', same='items')
"""

def test_ratios_are_those_of_the_times(tmp_path):
    script, out = tmp_path/'naps.py', tmp_path/'naps.json'
    script.write_text(SLEEPERS.format(folder=str(folder)))
    done = subprocess.run(
        [sys.executable, script, '--rounds', '3', '--threads', '1', '--out', out],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    quick, slow = found['rows']
    assert quick['ratio'] == 1 and 2 < slow['ratio'] < 4
    assert 100 < quick['units_per_second'] < 200
    assert found['same'] == 1 and found['benchmark'] == 'naps'
    # 64 x 64 x 64 x 2 operations in 50 ms are next to nothing
    assert 0 < quick['share_of_peak'] < .01
    peak = quick['peak_gflops']*1e9
    seen = quick['share_of_peak']*peak*10/quick['units_per_second']
    assert abs(seen/(2*64**3) - 1) < .2, 'operations are not counted'

def test_the_tables_that_are_shown_come_from_these_scripts():
    names = {p.stem for p in results.glob('*.json')}
    # these leave no record of speed
    others = {'sidebyside', 'beauty', 'scale', 'controls'}
    assert names == {p.stem for p in folder.glob('*.py')} - others
    for name in names:
        assert json.loads((results/f'{name}.json').read_text())['benchmark'] == name
