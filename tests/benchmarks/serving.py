"""What one user waits for a list, and how many lists a second: in a program and over HTTP.

    python tests/benchmarks/serving.py

TIGER in the sizes of the preset `beauty_cpu`, random weights, 12,101 items, 30 beams, ten items a
list, seen items left out. Over HTTP the service is a process of its own on the same machine, and
its clients are threads of this one, with a connection for each request. Rows are asked in turn, 48
requests in a round, or three of 64 users. Told are the median and the 99th percentile of all
requests of a row, and the median of the rounds for users per second. `threads` are those of
PyTorch for one request.
"""
import argparse, http.client, itertools, json, os, statistics, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from beauty import DATA, K, M, sequences
from sidebyside import machine
from semids.files import file_hash
from semids.pipeline import read_settings
from semids.recommender import Recommender
from semids.semantic_ids import write_ids
from semids.serve import app
from semids.tiger import TIGER
from semids.training import save_model

SETTINGS = read_settings('beauty_cpu')
BEAMS = SETTINGS.evaluation.beams
MANY = 64

def make_run(folder):
    "A run that can be opened, and the histories of its users"
    torch.manual_seed(0)
    seqs = sequences()
    path = folder/'tiger/semantic_ids.json'
    write_ids(seqs.ids, path)
    save_model(TIGER(M, K, SETTINGS.tiger.model), folder/'tiger', ids=file_hash(path))
    rows_U = np.random.default_rng(0).permutation(len(seqs.split.test))[:1024]
    history_UT = seqs.split.test.histories(torch.from_numpy(rows_U))
    return [seqs.split.item_ids[row[row>=0]].tolist() for row in history_UT]

# ---- the service, in a process of its own

def serve(folder, threads):
    "As `semids_serve`, but with any number of threads"
    import uvicorn
    torch.set_num_threads(threads)
    uvicorn.run(app(folder, 'tiger', BEAMS), port=0, access_log=False)

class Service:
    def __init__(self, folder, threads):
        command = [sys.executable, __file__, '--serve', str(folder), '--threads', str(threads)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if 'running on' in line: break
        self.port = int(line.split('127.0.0.1:')[1].split()[0])
    def ask(self, histories):
        "Lists, over a connection of its own"
        connection = http.client.HTTPConnection('127.0.0.1', self.port)
        body = json.dumps(dict(histories=histories))
        connection.request('POST', '/recommend', body, {'Content-Type':'application/json'})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        assert answer.status==200, found
        return found['lists']
    def close(self):
        self.process.terminate()
        self.process.wait()

# ---- what is measured

def timed(ask, some):
    "Milliseconds of each request"
    found = []
    for histories in some:
        start = time.perf_counter()
        ask(histories)
        found.append(1000*(time.perf_counter()-start))
    return found

class Row:
    "One way of asking: some clients at a time, each for some users"
    def __init__(self, name, ask, clients, users, threads):
        self.about = dict(name=name, clients=clients, users=users, threads=threads)
        self.ask = ask
        self.clients = clients
        self.users = users
        self.ms = []
        self.speeds = []
        self.pool = ThreadPoolExecutor(clients)
    def round(self, histories, requests):
        each = requests//self.clients
        def some(): return [list(itertools.islice(histories, self.users)) for _ in range(each)]
        asked = [some() for _ in range(self.clients)]
        start = time.perf_counter()
        found = list(self.pool.map(timed, [self.ask]*self.clients, asked))
        seconds = time.perf_counter()-start
        self.ms += sum(found, [])
        self.speeds.append(each*self.clients*self.users/seconds)
    def told(self):
        p50,p99 = np.percentile(self.ms, (50,99))
        return self.about | dict(requests=len(self.ms), p50_ms=p50, p99_ms=p99,
                                 users_per_second=statistics.median(self.speeds),
                                 lowest=min(self.speeds), highest=max(self.speeds))

def rows_of(recommender, services):
    "All ways of asking"
    found = [Row('program, one user', recommender.recommend_many, 1, 1, 1),
             Row('program, many users', recommender.recommend_many, 1, MANY, 1)]
    for threads,service in services.items():
        found += [Row('HTTP, one user', service.ask, n, 1, threads) for n in (1,2,8)]
        found.append(Row('HTTP, many users', service.ask, 1, MANY, threads))
    return found

if __name__=='__main__':
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, nargs='+', default=[1, os.cpu_count()])
    parser.add_argument('--serve', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    if options.serve: sys.exit(serve(options.serve, *options.threads))
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        asked = make_run(Path(folder))
        services = {threads:Service(folder, threads) for threads in options.threads}
        recommender = Recommender.load(folder, 'tiger', BEAMS)
        rows = rows_of(recommender, services)
        # the same lists everywhere, and everything is warm
        expected = recommender.recommend_many(asked[:MANY])
        for service in services.values():
            lists = service.ask(asked[:MANY])
            assert [[item for item,_ in found] for found in lists] == [
                [item for item,_ in found] for found in expected]
        load = os.getloadavg()
        histories = itertools.cycle(asked)
        for _ in range(options.rounds):
            for row in rows: row.round(histories, 48 if row.users==1 else 3)
        for service in services.values(): service.close()
    result = dict(benchmark='serving', data=DATA, machine=machine(), rounds=options.rounds,
                  beams=BEAMS, items=len(recommender), load=load, rows=[row.told() for row in rows])
    if options.out: options.out.write_text(json.dumps(result, indent=1)+'\n')
    for row in result['rows']:
        print(f"{row['name']:20} {row['clients']} clients, {row['threads']} threads: "
              f"{row['p50_ms']:7.1f} ms, 99% {row['p99_ms']:7.1f} ms, "
              f"{row['users_per_second']:6.1f} users per second")
