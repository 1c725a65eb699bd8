"What an import brings with it, in a fresh process"
import subprocess
import sys

# training needs these, or the command line, or some evaluations; recommending does not
HEAVY = ['accelerate', 'tensorboard', 'sklearn', 'scipy', 'transformers', 'matplotlib']

def test_recommending_needs_no_tools_of_training():
    "`semids.recommender` brings the models, evaluation and layers with it, and nothing heavy"
    found = f'[name for name in {HEAVY} if name in sys.modules]'
    code = f'import sys, semids.recommender; print({found})'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '[]'
