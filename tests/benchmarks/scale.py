"""What grows how: seconds and memory of every part of the pipeline, at a size that you choose.

    python tests/benchmarks/scale.py --items 100000 --actions 1000000 --users 100000

The data are random: a few items have most of the actions, every item has one. Each part runs in a
process of its own, on one thread. Three numbers are kept of it: the seconds of the clock, the
seconds of the processor (the same on a machine without other work), and the most memory beyond what
the part is given and what imports take. A part that runs too long or takes too much is ended, and
the record says so. `--parts` names some parts only; the record keeps what it has of the others.
Beside each stands how busy the machine was: the mean number of programs that ran or waited.
"""
import argparse, json, os, subprocess, sys, tempfile, time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from sidebyside import forget_peak, machine, mib

# ---- random data

def names(letter, n):
    "Raw ids of ten characters"
    import numpy as np
    digits = np.char.zfill(np.arange(n).astype(np.str_), 9)
    return np.char.add(letter, digits)

def draw_items(rng, N, A):
    "(A,) item rows: Zipf's law, and every item once"
    import numpy as np
    # some at a time: A may be large
    pieces = [rng.random(n, np.float32) for n in np.diff([*range(0, A, 2**22), A])]
    by_rank = [np.minimum(np.exp(x*np.log(N+1)).astype(np.int32), N)-1 for x in pieces]
    # an item's row says nothing of how popular it is
    items_A = rng.permutation(N).astype(np.int32)[np.concatenate(by_rank)]
    items_A[rng.choice(A, N, replace=False)] = np.arange(N)
    return items_A

def draw_offsets(rng, U, A):
    "(U+1,) where each user's actions begin: at least four each"
    import numpy as np
    extra_U = np.bincount(rng.integers(U, size=A-4*U, dtype=np.int32), minlength=U)
    return np.append(0, np.cumsum(extra_U+4))

def write_data(folder, N, A, U):
    "Histories as arrays, and as a Parquet file of strings"
    import numpy as np, pyarrow as pa, pyarrow.parquet
    rng = np.random.default_rng(0)
    items_A = draw_items(rng, N, A)
    offsets = draw_offsets(rng, U, A)
    np.save(folder/'items.npy', items_A)
    np.save(folder/'offsets.npy', offsets)
    item_ids = pa.array(names('B', N))
    kinds = dict(user=pa.string(), item=pa.string(), time=pa.int64())
    with pa.parquet.ParquetWriter(folder/'actions.parquet', pa.schema(kinds)) as writer:
        # some users at a time
        for first in range(0, U, 2**17):
            ends = offsets[first:first+2**17+1]
            users = [f'A{u:09}' for u in range(first, first+len(ends)-1)]
            user_a = np.repeat(np.arange(len(users)), np.diff(ends))
            columns = [pa.array(users).take(pa.array(user_a)),
                       item_ids.take(pa.array(items_A[ends[0]:ends[-1]])),
                       pa.array(np.arange(ends[0], ends[-1]))]
            writer.write_table(pa.table(columns, schema=pa.schema(kinds)))

# ---- what the parts are given

class Given:
    "The data of a size, as the parts ask for it"
    def __init__(self, folder, N, A, U):
        self.folder = folder
        self.N = N
        self.U = U

    def interactions(self):
        import numpy as np
        from semids.interactions import Interactions
        items_A,offsets = [np.load(self.folder/f'{name}.npy') for name in ('items','offsets')]
        return Interactions(names('A', self.U), names('B', self.N), offsets, items_A)

    def split(self):
        from semids.splits import leave_one_out
        return leave_one_out(self.interactions())

    def histories(self, n):
        import torch
        split = self.split()
        return split, split.test.histories(torch.arange(0, self.U, self.U//n)[:n])

    def vectors(self, E=64):
        "Item vectors around a thousand centres"
        import numpy as np
        rng = np.random.default_rng(1)
        centre_CE = rng.standard_normal((1000, E), np.float32)
        x_NE = rng.standard_normal((self.N, E), np.float32)
        x_NE *= .5
        # some at a time
        for n in range(0, self.N, 2**16):
            rows = rng.integers(1000, size=len(x_NE[n:n+2**16]))
            x_NE[n:n+2**16] += centre_CE[rows]
        return x_NE

    def codes(self, M=4, K=256):
        "Unique codes at random"
        import numpy as np, torch
        rng = np.random.default_rng(2)
        number_N = np.unique(rng.integers(0, K**M, int(1.1*self.N)))
        number_N = rng.permutation(number_N)[:self.N]
        return torch.from_numpy(np.stack([number_N//K**(M-1-m) % K for m in range(M)], 1))

    def ids(self):
        from semids.semantic_ids import SemanticIDs
        return SemanticIDs(names('B', self.N), self.codes(), 256)

# ---- the parts: each sets up, and returns a function that is measured

def read_parquet(given):
    from semids.interactions import read_interactions
    return lambda: read_interactions(given.folder/'actions.parquet')

def split_histories(given):
    from semids.splits import leave_one_out
    ixs = given.interactions()
    return lambda: leave_one_out(ixs).count_N

def write_inter_json(given):
    ixs = given.interactions()
    return lambda: ixs.write(given.folder/'interactions.inter.json')

def baseline(name):
    "Count, and ask for 256 users"
    def part(given):
        from semids import evaluation
        split,history_BT = given.histories(256)
        def work(): getattr(evaluation, name)(split)(history_BT, 20)
        return work
    return part

def clocks():
    "Seconds: that of the wall, and that of the processor for this process"
    return time.perf_counter(), time.process_time()

def since(before, n=1):
    "Seconds since then by both clocks, for each of `n` things"
    return [(now-then)/n for now,then in zip(clocks(), before)]

def from_short_to_long(batches, n):
    "(n, B) examples of `n` batches of an epoch, at equal distances in the order of their lengths"
    import torch
    epoch = batches.shuffle(0)
    order = batches.lengths_X[epoch].amax(1).argsort()
    at_n = (torch.arange(n)+.5)/n*len(order)
    return epoch[order[at_n.long()]]

def seconds_of_a_step(model, batches, settings, n=5):
    "The mean of `n` steps, by the clock and by the processor; one before them warms up"
    from semids.training import Training, make_accelerator, training_step
    accelerator = make_accelerator(cpu=True)
    training = Training(model, batches, settings, accelerator)
    model.train()
    rows_nB = from_short_to_long(batches, n)
    def step(rows_B):
        batch = batches.get(rows_B)
        training_step(accelerator, training.wrapped, training.optimizer, batch, settings.clip)
    step(rows_nB[0])
    before = clocks()
    for rows_B in rows_nB: step(rows_B)
    return since(before, n)

def sasrec_step(given):
    import torch
    from semids.sasrec import SASREC_TRAINING, SASRec, SASRecSettings, sasrec_batches
    split = given.split()
    torch.manual_seed(0)
    settings = SASRecSettings(loss='sampled')
    def work():
        model = SASRec(split.n_items, settings)
        batches = sasrec_batches(split, settings.max_len, 128)
        return seconds_of_a_step(model, batches, SASREC_TRAINING)
    return work

def sasrec_scores(given):
    import torch
    from semids.sasrec import SASRec
    split,history_BT = given.histories(256)
    torch.manual_seed(0)
    model = SASRec(split.n_items).eval()
    return lambda: model.recommend(history_BT, 20)

def rqvae_training(given):
    import torch
    from semids.rqvae import RQVAE_TRAINING, RQVAESettings, train_rqvae
    x_NE = torch.from_numpy(given.vectors())
    training = replace(RQVAE_TRAINING, steps=20, every=20)
    return lambda: train_rqvae(x_NE, settings=RQVAESettings(alpha=0.), training=training, cpu=True)

def semantic_ids(collisions, K):
    def part(given):
        import torch
        from semids.items import ItemVectors
        from semids.rqvae import RQVAE, RQVAESettings, standardize_and_init
        from semids.semantic_ids import SemanticIDSettings, make_ids
        x_NE = given.vectors()
        torch.manual_seed(0)
        model = RQVAE(64, settings=RQVAESettings(alpha=0., K=K)).eval()
        standardize_and_init(model, torch.from_numpy(x_NE[:20_000]))
        vectors = ItemVectors(names('B', given.N), x_NE)
        return lambda: make_ids(model, vectors, SemanticIDSettings(collisions))
    return part

def write_json_ids(given):
    from semids.semantic_ids import write_ids
    ids = given.ids()
    return lambda: write_ids(ids, given.folder/'semantic_ids.json')

def read_json_ids(given):
    from semids.semantic_ids import read_ids, write_ids
    write_ids(given.ids(), given.folder/'semantic_ids.json')
    return lambda: read_ids(given.folder/'semantic_ids.json', 256)

def sequences(given):
    from semids.conversion import make_sequences, read_sequences, write_sequences
    ixs = given.interactions()
    ids = given.ids()
    path = given.folder/'sequences.safetensors'
    def work():
        write_sequences(make_sequences(ixs, ids), path)
        read_sequences(path)
    return work

def tiger_step(causal):
    def part(given):
        import torch
        from semids.conversion import make_sequences
        from semids.tiger import TIGER, TIGER_TRAINING, TIGERSettings, tiger_batches
        seqs = make_sequences(given.interactions(), given.ids())
        torch.manual_seed(0)
        def work():
            model = TIGER(4, 256, TIGERSettings(causal=causal))
            batches = tiger_batches(seqs, model, TIGER_TRAINING.batch_size)
            return seconds_of_a_step(model, batches, TIGER_TRAINING)
        return work
    return part

def tiger(given):
    "TIGER with random weights, and a catalogue"
    import torch
    from semids.tiger import TIGER, TIGERRecommender
    codes_NM = given.codes()
    torch.manual_seed(0)
    model = TIGER(4, 256).eval()
    return lambda: TIGERRecommender(model, codes_NM, beams=50)

def build_trie(given): return tiger(given)

def tiger_decoding(given):
    _,history_BT = given.histories(64)
    recommend = tiger(given)()
    return lambda: recommend(history_BT, 10)

def recommend_one(given):
    "A service: trie and table of raw ids are built once, and then users come one by one"
    from semids.recommender import Recommender
    make = tiger(given)
    ids = names('B', given.N)
    history = ids[:5].tolist()
    def work():
        recommender = Recommender(make(), ids)
        recommender.recommend(history, k=10)
        before = clocks()
        for _ in range(5): recommender.recommend(history, k=10)
        return since(before, 5)
    return work

PARTS = {
    'reading Parquet':read_parquet, 'leave-one-out':split_histories,
    'interactions.inter.json':write_inter_json,
    'Popularity, 256 users':baseline('Popularity'), 'Markov, 256 users':baseline('Markov'),
    'SASRec, a training step':sasrec_step, 'SASRec, 256 users':sasrec_scores,
    'RQ-VAE, start, 20 steps, a check':rqvae_training,
    'semantic IDs, collision code':semantic_ids('code', 256),
    # with fewer codewords a million items have too many of the same first two codes
    'semantic IDs, reassigned, K=1024':semantic_ids('reassign', 1024),
    'writing semantic IDs':write_json_ids, 'reading semantic IDs':read_json_ids,
    'sequences':sequences, 'TIGER, a training step':tiger_step(False),
    'TIGER, causal, a training step':tiger_step(True),
    'TIGER, building the trie':build_trie, 'TIGER, 64 users':tiger_decoding,
    'recommend, one user':recommend_one}

# ---- in the process of a part

def run_part(options, folder):
    "Set a part up, say so, run it, print what it took"
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    # what libraries print is no answer
    os.dup2(2, 1)
    import pyarrow, torch
    torch.set_num_threads(1)
    pyarrow.set_cpu_count(1)
    given = Given(folder, options.items, options.actions, options.users)
    work = PARTS[options.part](given)
    forget_peak(torch, 'cpu')
    before = mib('VmRSS')
    print('ready', file=answers)
    began = clocks()
    with torch.inference_mode('step' not in options.part and 'RQ-VAE' not in options.part):
        found = work()
    took = since(began)
    # a part may have looked at the clocks itself
    seconds,cpu_seconds = found if isinstance(found, list) else took
    result = dict(seconds=seconds, cpu_seconds=cpu_seconds, mib=mib('VmHWM')-before)
    print(json.dumps(result), file=answers)

# ---- in the process that watches

def watch(process, options):
    "Why a part was ended; None: it was not"
    for line in process.stdout:
        if line.strip()=='ready': break
    before = cpu_seconds(process.pid)
    while process.poll() is None:
        if cpu_seconds(process.pid)-before>options.seconds: return f'over {options.seconds} s'
        if gib(process.pid)>options.gib: return f'over {options.gib} GiB'
        time.sleep(.05)

def cpu_seconds(pid):
    "Of the processor, so far"
    # the name of the program ends with a bracket
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11])+int(fields[12]))/os.sysconf('SC_CLK_TCK')

def gib(pid):
    "What a process holds; 0: it has ended"
    lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith('VmRSS'))/2**20

def command(options, folder):
    "This script, for a process of its own"
    sizes = [f'--{name}={getattr(options, name)}' for name in ('items','actions','users')]
    return [sys.executable, __file__, '--folder', folder, *sizes]

def measured(part, folder, options):
    "What a part took, or why it has no numbers"
    process = subprocess.Popen(
        [*command(options, folder), '--part', part], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | dict(OMP_NUM_THREADS='1'))
    reason = watch(process, options)
    if reason: process.kill()
    out,error = process.communicate()
    if reason: return dict(part=part, ended=reason)
    if process.returncode:
        lines = error.strip().splitlines()
        return dict(part=part, ended=lines[-1] if lines else f'signal {-process.returncode}')
    return dict(part=part) | json.loads(out.splitlines()[-1])

def kept_rows(path, sizes):
    "The rows of an earlier record of the same sizes"
    if path is None or not path.exists(): return {}
    record = json.loads(path.read_text())
    if any(record[name]!=n for name,n in sizes.items()): sys.exit(f'{path}: of other sizes')
    return {row['part']:row for row in record['rows']}

def arguments():
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    for name in ('items','actions','users'): add(f'--{name}', type=int, required=True)
    add('--parts', nargs='*', default=list(PARTS), choices=list(PARTS), metavar='PART')
    add('--seconds', type=float, default=120,
        help='of the processor; a part that needs more is ended')
    add('--gib', type=float, default=8, help='a part that holds more is ended')
    add('--out', type=Path, help='JSON file to write')
    add('--part', help=argparse.SUPPRESS)
    add('--folder', type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()

def main():
    options = arguments()
    sizes = {name:getattr(options, name) for name in ('items','actions','users')}
    if options.part=='data': return write_data(options.folder, *sizes.values())
    if options.part: return run_part(options, options.folder)
    rows = kept_rows(options.out, sizes)
    with tempfile.TemporaryDirectory() as folder:
        # in a process of its own, whose memory is gone afterwards
        subprocess.run([*command(options, folder), '--part', 'data'], check=True)
        for part in options.parts:
            rows[part] = measured(part, folder, options) | dict(load=os.getloadavg()[0])
            print(json.dumps(rows[part]), flush=True)
    # in the order of the list, whenever they were measured
    rows = [rows[part] for part in PARTS if part in rows]
    about = machine() | dict(threads=1, numpy=version('numpy'), pyarrow=version('pyarrow'))
    result = dict(benchmark='scale', **sizes, machine=about, rows=rows)
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')

if __name__=='__main__': main()
