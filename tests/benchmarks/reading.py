"""Reading 100 million actions, millions a second: Parquet (a row each), text (a line a user).

    python tests/benchmarks/reading.py

The peer is pyarrow's own reader of the same Parquet file, and of a CSV file with the same actions
(a row for each, so about twice the bytes of the text file, but no words to split), down to two
NumPy arrays of raw ids; ours also finds the distinct ids, their rows, and where each user begins.
The files (3 GB) are written to a temporary folder, once.
"""
import os, tempfile
from pathlib import Path
from sidebyside import main

N = int(os.environ.get('ACTIONS', 100_000_000))
FOLDER = Path(tempfile.gettempdir())/f'semids-reading-{N}'

def write_files():
    import numpy as np, pyarrow as pa, pyarrow.csv, pyarrow.parquet
    if (FOLDER/'done').exists(): return
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    length_U = rng.integers(5, 60, N//32)
    users = np.repeat(np.arange(len(length_U)), length_U)
    # a long tail, as in a shop
    items = (rng.pareto(1., length_U.sum())*1000).astype(np.int64) % 500_000
    table = pa.table(dict(user=users, item=items))
    pa.parquet.write_table(table, FOLDER/'a.parquet')
    pa.csv.write_csv(table, FOLDER/'a.csv')
    end_U = length_U.cumsum()
    with open(FOLDER/'a.txt', 'w') as f:
        for u,(start,end) in enumerate(zip(end_U-length_U, end_U)):
            f.write(f"{u} {' '.join(map(str, items[start:end].tolist()))}\n")
    (FOLDER/'done').touch()

def ours(name):
    def make(device):
        from semids.interactions import read_interactions
        def work(): return len(read_interactions(FOLDER/name, time=None).items_A)/1e6
        return work,dict()
    return make

def pyarrow(name):
    def make(device):
        import pyarrow as pa, pyarrow.csv, pyarrow.parquet
        read = pa.parquet.read_table if name=='a.parquet' else pa.csv.read_csv
        def work():
            table = read(FOLDER/name)
            users,items = [table[column].to_numpy() for column in ('user','item')]
            return len(items)/1e6
        return work,dict()
    return make

PROGRAMS = {'semids, Parquet':ours('a.parquet'), 'pyarrow, Parquet':pyarrow('a.parquet'),
            'semids, text':ours('a.txt'), 'pyarrow, CSV':pyarrow('a.csv')}

if __name__=='__main__': main(PROGRAMS, 'million actions', prepare=write_files)
