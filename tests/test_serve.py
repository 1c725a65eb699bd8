"The service as a real process on a loopback port: under load, reloaded, asked wrongly, ended"
import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import numpy as np
import pytest
import torch
import uvicorn

from semids import serve
from semids.changes import add_items
from semids.files import file_hash
from semids.items import ItemVectors
from semids.recommender import Recommender
from semids.rqvae import RQVAE, RQVAESettings
from semids.semantic_ids import SemanticIDs, write_ids
from semids.tiger import TIGER, TIGERSettings
from semids.training import save_model

N, E = 60, 8
IDS = [f'item-{n}' for n in range(N)]
COMMAND = 'import sys; from semids.serve import semids_serve; sys.exit(semids_serve())'

@pytest.fixture
def folder(tmp_path):
    "A run's folder with an untrained TIGER, and an RQ-VAE for new items"
    torch.manual_seed(0)
    number_N = torch.randperm(8**4)[:N]
    codes_NM = torch.stack([number_N // 8**m % 8 for m in range(4)], 1)
    path = tmp_path/'tiger/semantic_ids.json'
    write_ids(SemanticIDs(np.array(IDS), codes_NM, 8), path)
    small = TIGERSettings(d=16, heads=2, d_head=8, d_ff=16, layers=1, max_len=5)
    save_model(TIGER(4, 8, small), tmp_path/'tiger', ids=file_hash(path))
    save_model(RQVAE(E, 16, RQVAESettings(C=4, K=8, hidden=(8,))), tmp_path/'rqvae')
    return tmp_path

class Process:
    "`semids_serve` on a free port; what it complains about goes to a file"
    def __init__(self, folder, code=COMMAND):
        self.log = folder/'serve.log'
        command = [sys.executable, '-c', code, '--model', str(folder), '--port', '0']
        with self.log.open('w') as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.said = self.process.stdout.readline()
        self.port = int(re.match(r'http://127\.0\.0\.1:(\d+)', self.said)[1])

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

@pytest.fixture
def process(folder):
    running = Process(folder)
    yield running
    code = running.end()
    assert code in (0, -signal.SIGTERM, 128+signal.SIGTERM)
    assert 'Traceback' not in running.log.read_text()

@contextlib.contextmanager
def listening(api):
    "A server in a thread of this process; inside, its port"
    with socket.create_server(('127.0.0.1', 0)) as place:
        server = uvicorn.Server(uvicorn.Config(api, log_level='critical'))
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[place]))
        thread.start()
        try: yield place.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()

JSON = {'Content-Type': 'application/json'}

def ask(port, path, question=None, method='POST', headers=JSON):
    "Status and text of an answer; a question is sent as JSON, bytes as they are"
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        connection.request(method, path, body if question is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally: connection.close()

def lists(answer):
    status, text = answer
    assert status == 200, text
    return json.loads(text)['lists']

def same(found, expected):
    "The same items; scores differ by the rounding of another number of threads at most"
    assert [[item for item, _ in one] for one in found] == [
        [item for item, _ in one] for one in expected]
    for a, b in zip(found, expected):
        assert [score for _, score in a] == pytest.approx([score for _, score in b], rel=1e-4)

def random_question(rng):
    histories = [rng.choice(IDS, rng.integers(1, 9)).tolist() + ['gone'] * rng.integers(2)
                 for _ in range(rng.integers(1, 6))]
    question = dict(histories=histories, k=int(rng.integers(1, 20)))
    if rng.integers(2): question['allowed'] = rng.choice(IDS, 30, replace=False).tolist()
    if rng.integers(2): question['exclude'] = rng.choice(IDS, 3).tolist()
    if rng.integers(2): question['mask_seen'] = False
    return question

def test_load(folder, process):
    "Eight clients, 400 requests of many kinds: every answer is that of `recommend_many`"
    r = Recommender.load(folder)
    rng = np.random.default_rng(0)
    questions = [random_question(rng) for _ in range(400)]
    def one(question): return lists(ask(process.port, '/recommend', question))
    with ThreadPoolExecutor(8) as pool: found = list(pool.map(one, questions))
    for question, answer in zip(questions, found):
        same(answer, r.recommend_many(unknown='skip', **question))
    status, text = ask(process.port, '/similar', dict(item='item-3', k=5))
    same([json.loads(text)['items']], [r.similar('item-3', 5)])
    health = json.loads(ask(process.port, '/health', method='GET')[1])
    assert (health['model'], health['items']) == ('tiger', N)
    assert f'tiger, {N} items' in process.said

def test_reload_under_load_loses_nothing(folder, process):
    question = dict(histories=[['item-0', 'item-1']], k=100)
    done = threading.Event()
    def client(_):
        found = []
        while not done.is_set(): found.append(ask(process.port, '/recommend', question))
        return found
    expected = {}
    def kept():
        about = json.loads(ask(process.port, '/health', method='GET')[1])
        expected[about['loaded']] = Recommender.load(folder).recommend_many(**question)
    kept()
    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, n) for n in range(4)]
        try:
            for n in range(3):
                vector = np.random.default_rng(n).normal(size=(1, E)).astype(np.float32)
                add_items(folder, ItemVectors([f'new-{n}'], vector))
                status, text = ask(process.port, '/reload')
                assert status == 200 and json.loads(text)['items'] == N+n+1
                kept()
                time.sleep(.2)
        finally: done.set()
    answers = [answer for one in clients for answer in one.result()]
    assert len(expected) == 4
    by_run = {loaded: 0 for loaded in expected}
    for answer in answers:
        loaded = json.loads(answer[1])['loaded']
        same(lists(answer), expected[loaded])
        by_run[loaded] += 1
    assert min(by_run.values()) > 0, by_run

def test_a_reload_that_fails_changes_nothing(folder, process):
    question = dict(histories=[['item-0']])
    before = ask(process.port, '/recommend', question)
    for spoil in ('[]', '{"item-0": ["<a_1>"]}', 'no JSON', ''):
        (folder/'tiger/semantic_ids.json').write_text(spoil)
        status, text = ask(process.port, '/reload')
        assert status == 500 and len(json.loads(text)['detail'].splitlines()) == 1
        assert ask(process.port, '/recommend', question) == before
    (folder/'tiger/model.safetensors').unlink()
    assert ask(process.port, '/reload')[0] == 500
    assert ask(process.port, '/recommend', question) == before

def deep(n): return b'{"histories": ' + b'['*n + b']'*n + b'}'

ONE = [['item-0']]
WRONG = {
    'broken JSON': (b'{"histories": [["item-0"]', 422),
    'no JSON': (b'\x00\xff\xfe', 400),
    'half a character': (b'{"histories": [["\xd8"]]}', 400),
    'nothing': (b'', 422),
    'a list': ([], 422),
    'a word': ('histories', 422),
    'no histories': ({}, 422),
    'another key': (dict(histories=ONE, colour='red'), 422),
    'histories of text': (dict(histories='item-0'), 422),
    'a history of text': (dict(histories=['item-0']), 422),
    'a history of null': (dict(histories=[None]), 422),
    'ids of null': (dict(histories=[[None]]), 400),
    'ids of floats': (dict(histories=[[1.5]]), 400),
    'ids of lists': (dict(histories=[[['item-0']]]), 400),
    'empty history': (dict(histories=[[]], unknown='raise'), 400),
    'unknown id': (dict(histories=[['item-99']], unknown='raise'), 400),
    'long id': (dict(histories=[['x'*100_000]], unknown='raise'), 400),
    'surrogate': (b'{"histories": [["\\ud800"]], "unknown": "raise"}', 400),
    'unknown is unknown': (dict(histories=ONE, unknown='maybe'), 422),
    'k is 0': (dict(histories=ONE, k=0), 422),
    'k is negative': (dict(histories=ONE, k=-1), 422),
    'k is text': (dict(histories=ONE, k='3'), 422),
    'k is true': (dict(histories=ONE, k=True), 422),
    'k is large': (dict(histories=ONE, k=101), 422),
    'k is NaN': (b'{"histories": [["item-0"]], "k": NaN}', 422),
    'k is infinite': (b'{"histories": [["item-0"]], "k": 1e999}', 422),
    'k has many digits': (b'{"histories": [["item-0"]], "k": ' + b'9'*5000 + b'}', 400),
    'id is NaN': (b'{"histories": [[NaN]]}', 400),
    'mask_seen is 1': (dict(histories=ONE, mask_seen=1), 422),
    'allowed unknown': (dict(histories=ONE, allowed=['x']), 400),
    'allowed text': (dict(histories=ONE, allowed='item-0'), 422),
    'exclude unknown': (dict(histories=ONE, exclude=[None]), 400),
    'filters without a catalogue': (dict(histories=ONE, filters={'kind': 'oil'}), 400),
    'filters of a list': (dict(histories=ONE, filters=['kind']), 422),
    'too many histories': (dict(histories=ONE*257), 422),
    'a long history': (dict(histories=[['item-0']*1001]), 422),
    'deep': (deep(500), 400),
    'very deep': (deep(100_000), 400),
    '10 MB': (b' '*10_000_000, 413)}

def test_wrong_questions(process):
    "Each gets its code and one line, and the next right question its answer"
    for name, (question, expected) in WRONG.items():
        status, text = ask(process.port, '/recommend', question)
        assert status == expected, f'{name}: {status} {text[:300]}'
        assert len(text) < 500 and len(text.splitlines()) == 1, name
        assert len(lists(ask(process.port, '/recommend', dict(histories=ONE)))[0]) == 10

def chunks():
    for _ in range(100): yield b' '*100_000

def test_wrong_requests(process):
    port = process.port
    assert ask(port, '/similar', dict(item='item-99'))[0] == 400
    assert ask(port, '/similar', dict(item=['item-0']))[0] == 422
    assert ask(port, '/similar', dict(item='item-0', histories=ONE))[0] == 422
    assert ask(port, '/recommend', method='GET')[0] == 405
    assert ask(port, '/elsewhere', method='GET')[0] == 404
    # a page that would load scripts from elsewhere
    assert ask(port, '/docs', method='GET')[0] == 404
    form = {'Content-Type': 'application/x-www-form-urlencoded'}
    assert ask(port, '/recommend', dict(histories=ONE), headers=form)[0] == 422
    # 10 MB whose size is not told
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    connection.request('POST', '/recommend', chunks(), JSON, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    negative = b'POST /recommend HTTP/1.1\r\nContent-Length: -1\r\n\r\n'
    for raw in (b'no HTTP at all\r\n\r\n', negative):
        with socket.create_connection(('127.0.0.1', port), timeout=60) as s:
            s.sendall(raw)
            assert b' 400 ' in s.recv(1000)
    # who says nothing keeps nobody waiting
    with socket.create_connection(('127.0.0.1', port)):
        assert len(lists(ask(port, '/recommend', dict(histories=ONE)))[0]) == 10

def test_what_is_under_way_is_answered_before_the_end(folder):
    running = Process(folder)
    connection = http.client.HTTPConnection('127.0.0.1', running.port, timeout=60)
    connection.request('GET', '/health')
    connection.getresponse().read()
    histories = [IDS[n % 20:] for n in range(256)]
    connection.request('POST', '/recommend', json.dumps(dict(histories=histories, k=50)), JSON)
    time.sleep(.3)
    code = running.end()
    answer = connection.getresponse()
    assert answer.status == 200 and len(json.loads(answer.read())['lists']) == 256
    assert code in (0, -signal.SIGTERM, 128+signal.SIGTERM)
    assert running.log.read_text() == ''

def test_health_answers_while_all_threads_are_busy(folder):
    api = serve.app(folder)
    gate = threading.Event()
    def slow(**_): return [gate.wait(60)]
    api.state.run.recommend_many = slow
    with listening(api) as port, ThreadPoolExecutor(60) as pool:
        try:
            asked = [pool.submit(ask, port, '/recommend', dict(histories=ONE)) for _ in range(60)]
            time.sleep(.5)
            assert ask(port, '/health', method='GET')[0] == 200
            assert not any(one.done() for one in asked)
        finally: gate.set()
        assert all(one.result()[0] == 200 for one in asked)

def test_one_reload_at_a_time(folder):
    gate = threading.Event()
    began = threading.Event()
    api = serve.app(folder)
    def slow(*_):
        began.set()
        gate.wait(60)
        return api.state.run
    with patch.object(serve, 'opened', slow), listening(api) as port:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(ask, port, '/reload')
            began.wait(60)
            second = ask(port, '/reload')
            gate.set()
            assert (first.result()[0], second[0]) == (200, 409)
        assert ask(port, '/reload')[0] == 200

def ends(*args, code=COMMAND):
    done = subprocess.run([sys.executable, '-c', code, *map(str, args)], capture_output=True,
                          text=True, timeout=120)
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ''
    return done.returncode, done.stderr

def test_what_the_command_refuses(folder):
    code, says = ends('--model', folder/'elsewhere')
    assert code == 2 and 'no such file' in says
    code, says = ends('--model', folder, '--kind', 'bert')
    assert code == 2 and "'bert' is not one of" in says
    with socket.create_server(('127.0.0.1', 0)) as taken:
        code, says = ends('--model', folder, '--port', taken.getsockname()[1])
    assert code == 1 and 'ddress already in use' in says
    without = f"import sys; sys.modules['uvicorn'] = None; {COMMAND}"
    code, says = ends('--model', folder, code=without)
    assert code == 2 and 'pip install "semids[serve]"' in says

def test_it_listens_on_this_machine_only(process):
    "The default is the loopback address, so another address of the machine is refused"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        assert s.connect_ex(('127.0.0.2', process.port)) != 0
