"Downloads from local servers that are slow, cut, changed, wrong or hostile, and the whole command"
import contextlib
import gzip
import hashlib
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semids import download
from semids.download import DATA_SETS, build, fetch, read_metadata, read_reviews
from semids.errors import InputError
from semids.files import file_hash
from semids.interactions import read_interactions
from semids.pipeline import Run, read_settings

root = Path(__file__).parent.parent
beauty = Path(os.environ.get('SEMIDS_BEAUTY', root/'data/Beauty'))
DATA = random.Random(0).randbytes(300_000)
os.environ['no_proxy'] = '127.0.0.1'

class Handler(http.server.BaseHTTPRequestHandler):
    "Answers as the next entry of the server's `plan` says; an honest answer where there is none"
    def do_GET(self):
        home = self.server
        home.asked.append((self.path, self.headers.get('Range')))
        answer = home.plan.pop(0) if home.plan else honest
        try: answer(self, home.files.get(self.path))
        except (BrokenPipeError, ConnectionResetError): pass

    def log_message(self, *args): pass

def head(h, status, length, **headers):
    h.send_response(status)
    if length is not None: h.send_header('Content-Length', str(length))
    for name, value in headers.items(): h.send_header(name.replace('_', '-'), value)
    h.end_headers()

def tag(data): return f'"{hashlib.md5(data).hexdigest()}"'

def ask_of(h):
    "First byte that is asked for, and the version to which that belongs"
    wanted = h.headers.get('Range')
    return (int(wanted[6:-1]) if wanted else 0), h.headers.get('If-Range')

def honest(h, data, send=None):
    "Ranges, a strong tag, the length"
    if data is None: return h.send_error(404)
    begin, version = ask_of(h)
    if version != tag(data): begin = 0
    if begin >= len(data) > 0: return head(h, 416, 0)
    place = {'Content_Range': f'bytes {begin}-{len(data)-1}/{len(data)}'} if begin else {}
    head(h, 206 if begin else 200, len(data)-begin, ETag=tag(data), **place)
    (send or h.wfile.write)(data[begin:])

def cut(n):
    "Breaks off after `n` bytes"
    return lambda h, data: honest(h, data, lambda rest: h.wfile.write(rest[:n]))

def slow(n, pause):
    "Sends `n` bytes at a time"
    def send(h, rest):
        for at in range(0, len(rest), n):
            h.wfile.write(rest[at:at+n])
            time.sleep(pause)
    return lambda h, data: honest(h, data, lambda rest: send(h, rest))

def stalls(n, seconds):
    "Sends `n` bytes, then nothing for a while"
    def send(h, rest):
        h.wfile.write(rest[:n])
        time.sleep(seconds)
    return lambda h, data: honest(h, data, lambda rest: send(h, rest))

def no_range(h, data):
    head(h, 200, len(data))
    h.wfile.write(data)

def plain(status, body=b'', **headers):
    def answer(h, data):
        head(h, status, len(body), **headers)
        h.wfile.write(body)
    return answer

def leads_to(place): return plain(302, Location=place)

@contextlib.contextmanager
def serving():
    "A server that is asked without long pauses"
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.files, server.plan, server.asked = {'/data': DATA}, [], []
    server.url = f'http://127.0.0.1:{server.server_port}'
    threading.Thread(target=server.serve_forever, args=[.01], daemon=True).start()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(download, '_PAUSE', .01)
        try: yield server
        finally:
            server.shutdown()
            server.server_close()

@pytest.fixture
def home():
    with serving() as server: yield server

def ranges(home): return [wanted for _, wanted in home.asked]

def arrives(home, path, **kwargs):
    "Fetch, and hold what has arrived against what was there"
    found = fetch(f'{home.url}/data', path, quiet=True, **kwargs)
    assert path.read_bytes() == home.files['/data']
    assert found == file_hash(path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]

def refused(home, path, match, name='data', **kwargs):
    "Fetch, and hold the complaint against what is expected; nothing appears"
    with pytest.raises(InputError, match=match) as e:
        fetch(f'{home.url}/{name}', path, quiet=True, **kwargs)
    assert '\n' not in str(e.value) and len(str(e.value)) <= 300
    assert not path.exists()

# ---- one file

def test_a_slow_answer_is_waited_for(home, tmp_path):
    home.plan = [slow(100_000, .3)]
    arrives(home, tmp_path/'x', timeout=.8)
    assert ranges(home) == [None]

def test_a_stalled_answer_goes_on(home, tmp_path):
    home.plan = [stalls(200_000, 3)]
    arrives(home, tmp_path/'x', timeout=.3)
    assert ranges(home) == [None, 'bytes=200000-']

def test_a_server_that_never_answers(home, tmp_path):
    home.plan = [stalls(0, 1)]*9
    refused(home, tmp_path/'x', r'timed out \(5 attempts\)', timeout=.1)

@given(cuts=st.lists(st.integers(0, len(DATA)), max_size=4))
@settings(max_examples=25, deadline=None)
def test_wherever_it_is_cut(tmp_path_factory, cuts):
    "Whatever lengths the pieces have, the whole is the same"
    with serving() as server:
        server.plan = [cut(n) for n in cuts]
        arrives(server, tmp_path_factory.mktemp('cut')/'x')

def test_without_ranges_it_begins_anew(home, tmp_path):
    home.plan = [cut(1000), no_range]
    arrives(home, tmp_path/'x')
    assert ranges(home) == [None, 'bytes=1000-']

def test_without_a_version_nothing_is_continued(home, tmp_path):
    "No tag and no date: nobody can say whether the rest belongs to it"
    def half(h, data):
        head(h, 200, len(data))
        h.wfile.write(data[:1000])
    home.plan = [half]
    arrives(home, tmp_path/'x')
    assert ranges(home) == [None, None]

@pytest.mark.parametrize('headers', [dict(Last_Modified='Tue, 01 Jul 2014 00:00:00 GMT'),
    dict(ETag='W/"weak"', Last_Modified='Tue, 01 Jul 2014 00:00:00 GMT')])
def test_a_date_is_a_version_too(home, tmp_path, headers):
    versions = []
    def dated(h, data):
        begin, version = ask_of(h)
        versions.append(version)
        place = {'Content_Range': f'bytes {begin}-{len(data)-1}/{len(data)}'} if begin else {}
        head(h, 206 if begin else 200, len(data)-begin, **headers, **place)
        h.wfile.write(data[begin:] if begin else data[:1000])
    home.plan = [dated, dated]
    arrives(home, tmp_path/'x')
    assert versions == [None, 'Tue, 01 Jul 2014 00:00:00 GMT']

@pytest.mark.parametrize('new', [DATA[::-1], DATA[::-1][:200_000], DATA+b'more'])
def test_a_server_that_ignores_if_range(home, tmp_path, new):
    "The file has changed, and the server continues the new one: nothing is glued together"
    def careless(h, data):
        begin, _ = ask_of(h)
        where = f'bytes {begin}-{len(data)-1}/{len(data)}'
        head(h, 206, len(data)-begin, ETag=tag(data), Content_Range=where)
        h.wfile.write(data[begin:])
    def change(h, data):
        honest(h, data, lambda rest: h.wfile.write(rest[:1000]))
        home.files['/data'] = new
    home.plan = [change, careless]
    arrives(home, tmp_path/'x')
    assert ranges(home) == [None, 'bytes=1000-', None]

def test_a_range_that_begins_elsewhere(home, tmp_path):
    def elsewhere(h, data):
        where = f'bytes 0-{len(data)-1}/{len(data)}'
        head(h, 206, len(data), ETag=tag(data), Content_Range=where)
        h.wfile.write(data)
    home.plan = [cut(1000), elsewhere]
    arrives(home, tmp_path/'x')

def test_more_has_arrived_than_there_is(home, tmp_path):
    "What is left of an earlier file is too long: 416, and it begins anew"
    (tmp_path/'x.part').write_bytes(bytes(len(DATA)+5))
    about = dict(url=f'{home.url}/data', version=tag(DATA), total=len(DATA)+9)
    (tmp_path/'x.part.json').write_text(json.dumps(about))
    arrives(home, tmp_path/'x')
    assert ranges(home) == [f'bytes={len(DATA)+5}-', None]

OTHER = json.dumps(dict(url='http://127.0.0.1/other', version=tag(DATA), total=len(DATA)))

@pytest.mark.parametrize('about', ['', '[]', '{"url": 1}', '{"version": 5}', OTHER, None])
def test_remains_that_are_spoilt_are_not_continued(home, tmp_path, about):
    (tmp_path/'x.part').write_bytes(b'what is this?')
    if about is not None: (tmp_path/'x.part.json').write_text(about)
    arrives(home, tmp_path/'x')
    assert ranges(home) == [None]

def test_all_had_arrived_when_it_was_killed(home, tmp_path):
    (tmp_path/'x.part').write_bytes(DATA)
    about = dict(url=f'{home.url}/data', version=tag(DATA), total=len(DATA))
    (tmp_path/'x.part.json').write_text(json.dumps(about))
    arrives(home, tmp_path/'x')
    assert home.asked == []

def test_a_server_that_is_busy(home, tmp_path):
    home.plan = [plain(503), plain(429), plain(500)]
    arrives(home, tmp_path/'x')
    assert len(home.asked) == 4

def test_a_server_that_stays_busy(home, tmp_path):
    home.plan = [plain(503)]*9
    refused(home, tmp_path/'x', r'503 \(Service Unavailable\) \(5 attempts\)')

def test_what_is_not_there_is_asked_for_once(home, tmp_path):
    refused(home, tmp_path/'x', r'404 \(Not Found\); expected a file', 'nowhere')
    assert len(home.asked) == 1

def test_chunks_without_a_length(home, tmp_path):
    "The first answer breaks off in the middle of a chunk"
    def chunked(h, data, whole=True):
        h.protocol_version = 'HTTP/1.1'
        head(h, 200, None, Transfer_Encoding='chunked', Connection='close')
        for at in range(0, len(data), 100_000):
            piece = data[at:at+100_000]
            h.wfile.write(b'%x\r\n' % len(piece) + (piece if whole else piece[:10]))
            if not whole: return
            h.wfile.write(b'\r\n')
        h.wfile.write(b'0\r\n\r\n')
    home.plan = [lambda h, data: chunked(h, data, whole=False), chunked]
    arrives(home, tmp_path/'x')
    assert len(home.asked) == 2

def test_redirects(home, tmp_path):
    home.plan = [leads_to('/elsewhere'), leads_to(f'{home.url}/data')]
    fetch(f'{home.url}/data', tmp_path/'x', quiet=True)
    assert (tmp_path/'x').read_bytes() == DATA

def test_a_redirect_keeps_the_range(home, tmp_path):
    home.plan = [cut(1000), leads_to('/data')]
    arrives(home, tmp_path/'x')
    assert ranges(home) == [None, 'bytes=1000-', 'bytes=1000-']

@pytest.mark.parametrize('place', [
    'file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:,x', 'http://a..b/'])
def test_redirects_that_leave_the_web(home, tmp_path, place):
    home.plan = [leads_to(place)]
    refused(home, tmp_path/'x', '302|expected an address')
    assert len(home.asked) == 1

def test_redirects_that_never_end(home, tmp_path):
    home.plan = [leads_to('/data')]*99
    refused(home, tmp_path/'x', '302')

def test_from_a_secure_address_to_another():
    handler = download._WebOnly()
    request = download.Request('https://example.org/data')
    def lead(url): return handler.redirect_request(request, None, 302, 'Found', {}, url)
    with pytest.raises(InputError, match='expected https'): lead('http://example.org/data')
    assert lead('https://example.org/other').full_url == 'https://example.org/other'

@pytest.mark.parametrize('url', [
    '', 'x', 'file:///etc/passwd', 'ftp://x/y', 'http://', 'http://ü/x',
    'http://x:port/y', 'http://[x/y', 'http://a b/c', 'http://a..b/c', 'http://x/y\nHost: z'])
def test_addresses_that_are_none(tmp_path, url):
    with pytest.raises(InputError, match='expected an address'): fetch(url, tmp_path/'x')

@pytest.mark.parametrize('answer, match', [
    (plain(200, b'<!DOCTYPE html><p>Sign in'), 'a web page'),
    (plain(200, b' \n<HTML>'), 'a web page'),
    (plain(200, b'\x1f\x8b', Content_Type='text/html; charset=utf-8'), 'a web page'),
    (plain(200, b'{"error": "gone"}'), 'expected gzip'),
    (plain(200, b''), 'expected gzip')])
def test_other_than_data(home, tmp_path, answer, match):
    home.plan = [answer]
    refused(home, tmp_path/'x.gz', match, 'x.gz')
    assert not list(tmp_path.iterdir())

def test_a_page_does_not_cost_what_has_arrived(home, tmp_path):
    home.plan = [cut(1000)]*5
    refused(home, tmp_path/'x', '5,000 of 300,000')
    home.plan = [plain(200, b'<html>Sign in')]
    refused(home, tmp_path/'x', 'a web page')
    arrives(home, tmp_path/'x')
    assert ranges(home)[-1] == 'bytes=5000-'

def test_the_wrong_hash(home, tmp_path):
    refused(home, tmp_path/'x', f'SHA-256 {hashlib.sha256(DATA).hexdigest()}; expected {"0"*64}',
            sha256='0'*64)
    assert not list(tmp_path.iterdir())
    arrives(home, tmp_path/'x', sha256=hashlib.sha256(DATA).hexdigest())

def test_too_much_is_announced(home, tmp_path):
    home.plan = [lambda h, data: head(h, 200, 2**40, ETag='"x"')]
    refused(home, tmp_path/'x', '1,099,511,627,776 bytes; expected 4,294,967,296 at most')
    assert not list(tmp_path.iterdir())

def test_too_much_arrives(home, tmp_path, monkeypatch):
    "No length, and no end"
    monkeypatch.setattr(download, '_MOST', 100_000)
    def endless(h, data):
        head(h, 200, None)
        for _ in range(10_000): h.wfile.write(bytes(10_000))
    home.plan = [endless]
    refused(home, tmp_path/'x', 'over 100,000 bytes')
    assert not list(tmp_path.iterdir())

def test_a_killed_fetch_goes_on(home, tmp_path):
    "kill -9 while it waits in the middle; the next process asks for the rest alone"
    home.plan = [stalls(200_000, 20)]
    code = 'import sys; from semids.download import fetch; fetch(sys.argv[1], sys.argv[2])'
    command = [sys.executable, '-c', code, f'{home.url}/data', str(tmp_path/'x')]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    part = tmp_path/'x.part'
    for _ in range(600):
        if part.exists() and part.stat().st_size == 200_000: break
        time.sleep(.1)
    process.kill()
    process.wait()
    assert part.stat().st_size == 200_000 and not (tmp_path/'x').exists()
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
    assert (tmp_path/'x').read_bytes() == DATA
    assert [p.name for p in tmp_path.iterdir()] == ['x']
    assert ranges(home) == [None, 'bytes=200000-']

# ---- lines from elsewhere

def packed(path, *lines):
    path.write_bytes(gzip.compress(b'\n'.join(lines)+b'\n'))
    return path

HOSTILE = {'code': b"__import__('os').system('touch %s')", 'deep': b'['*500_000,
           'signs': b'-'*500_000+b'1', 'sum': b'1+'*200_000+b'1', 'half': b"{'asin': 'B1'",
           'list': b"['asin']", 'bytes': b'\xff\xfe',
           'digits': b'{"asin": '+b'9'*5000+b'}', 'long': b'{"asin": "B1", "x": "'+b'x'*2**20+b'"}'}

@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_lines(tmp_path, name):
    line = HOSTILE[name].replace(b'%s', str(tmp_path/'harm').encode())
    path = packed(tmp_path/'x.gz', b'{"asin": "B2"}', line)
    with pytest.raises(InputError, match=r'x\.gz, line 2: '): read_metadata(path, ['B1', 'B2'])
    assert not (tmp_path/'harm').exists()

@pytest.mark.parametrize('change', [dict(reviewerID=''), dict(unixReviewTime=True),
    dict(unixReviewTime=2**70), dict(unixReviewTime=1.5), dict(asin=['B1'])])
def test_reviews_that_are_none(tmp_path, change):
    good = dict(reviewerID='al', asin='B1', unixReviewTime=0)
    path = packed(tmp_path/'x.gz', *(json.dumps(row).encode() for row in (good, good | change)))
    with pytest.raises(InputError, match='x.gz'): read_reviews(path)

def test_no_reviews(tmp_path):
    (tmp_path/'x.gz').write_bytes(gzip.compress(b''))
    with pytest.raises(InputError, match='no actions'): read_reviews(tmp_path/'x.gz')

@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b'', b"{'asin': 'B1'", b'{"asin": "B1", ']))
def test_any_line(tmp_path_factory, line, before):
    "Whatever stands in a line: it is read, or refused in one line"
    path = packed(tmp_path_factory.mktemp('any')/'x.gz', before+line)
    try: found = read_metadata(path, ['B1'])
    except InputError as e: assert '\n' not in str(e)
    else: assert list(found) == ['B1']

# ---- the whole command

N_USERS, N_ITEMS = 120, 90

def small_shop(home):
    "Reviews in the order of the products, as Amazon's file has them, and metadata in Python's form"
    rng = random.Random(1)
    reviews = []
    for u in range(N_USERS):
        start = rng.randrange(N_ITEMS)
        # two reviews a day, of products that follow each other
        reviews += [dict(reviewerID=f'A{u:03}', asin=f'B{(start+t) % N_ITEMS:03}',
                         unixReviewTime=86_400*(t//2)) for t in range(6)]
    reviews.sort(key=lambda row: row['asin'])
    words = [f'word{n}' for n in range(60)]
    items = [dict(asin=f'B{n:03}', title=' '.join(rng.sample(words, 5)), brand=f'brand{n % 9}',
                  categories=[['Beauty', f'kind{n % 7}']]) for n in range(N_ITEMS)]
    # one product is described nowhere, and one description is of no product here
    items[5]['asin'] = 'B999'
    pack = {'reviews_Beauty_5': map(json.dumps, reviews), 'meta_Beauty': map(repr, items)}
    for name, lines in pack.items():
        home.files[f'/{name}.json.gz'] = gzip.compress('\n'.join(lines).encode())
    return reviews

def command(*args, **kwargs):
    "`semids_download` as a process of its own"
    code = 'import sys; from semids.download import semids_download; sys.exit(semids_download())'
    return subprocess.run([sys.executable, '-c', code, *map(str, args)], capture_output=True,
                          text=True, timeout=300, **kwargs)

def where(home, folder): return ('beauty', '--from', home.url, '--data', folder, '--width', '32')

def test_the_whole_command(home, tmp_path):
    reviews = small_shop(home)
    home.plan = [cut(500), slow(700, .05)]
    done = command(*where(home, tmp_path/'beauty'), '--unpinned')
    assert done.returncode == 0, done.stderr
    for words in ('no licence', 'Ups and downs', f'{N_USERS} users, {N_ITEMS} items', '720 actions',
                  '1 items without a text', '--params'): assert words in done.stdout, words
    # the progress: name and rate
    assert 'reviews_Beauty_5.json.gz' in done.stderr and 'B/s' in done.stderr
    assert ('/reviews_Beauty_5.json.gz', 'bytes=500-') in home.asked

    # what it says next is what runs: settings and data as a run reads them
    # (with fewer codewords, as there are fewer items)
    few = read_settings(tmp_path/'beauty/settings.json', ['rqvae.model.K=16'])
    run = Run(few, data=tmp_path/'beauty', out=tmp_path, device='cpu')
    data = run.load()
    assert (len(data.ixs), len(data.split.item_ids)) == (N_USERS, N_ITEMS)
    assert data.vectors.vectors_NE.shape == (N_ITEMS, 32)
    # the order by hand: by time, then as the file has it
    first = reviews[0]['reviewerID']
    mine = sorted((r for r in reviews if r['reviewerID'] == first),
                  key=lambda row: row['unixReviewTime'])
    lines = (tmp_path/'beauty/items.jsonl').read_text().splitlines()
    asin = {str(row['item_id']): row['asin'] for row in map(json.loads, lines)}
    ixs = data.ixs
    assert [asin[i] for i in ixs.item_ids[ixs[0]]] == [row['asin'] for row in mine]
    assert ixs.times_A[:6].tolist() == [row['unixReviewTime'] for row in mine]
    # a run can shuffle ties, as there are times
    shuffled = run.settings.with_option('data.shuffle_ties=true')
    assert Run(shuffled, data=tmp_path/'beauty', out=tmp_path).load().ixs.tie_order != 'as given'

def hashes(folder): return {p.name: file_hash(p) for p in folder.iterdir() if p.is_file()}

def test_the_second_time(home, tmp_path):
    "Nothing is asked for, and every file is the same again"
    small_shop(home)
    assert command(*where(home, tmp_path), '--unpinned', '--quiet').returncode == 0
    before = hashes(tmp_path)
    home.asked.clear()
    done = command(*where(home, tmp_path), '--unpinned', '--quiet')
    assert done.returncode == 0 and home.asked == [] and done.stderr == ''
    assert hashes(tmp_path) == before

def complaint(done):
    "The one line of a command that was refused"
    assert done.returncode == 2, done.stderr
    line, = done.stderr.splitlines()
    assert line.startswith('error: ') and len(line) < 310
    return line

def test_what_the_command_refuses(home, tmp_path):
    small_shop(home)
    options = (*where(home, tmp_path/'a'), '--quiet')
    assert f'{N_USERS} users' in complaint(command(*options))
    assert not (tmp_path/'a/all_data.txt').exists() and not (tmp_path/'a/fetched.json').exists()
    assert '404' in complaint(command('toys', *options[1:]))
    assert 'one of beauty, sports, toys' in complaint(command('books', *options[1:]))
    assert 'expected an address' in complaint(
        command('toys', '--from', 'file:///tmp', '--data', tmp_path/'b', '--quiet'))
    home.files['/meta_Beauty.json.gz'] = home.files['/meta_Beauty.json.gz'][:-20]
    spoilt = complaint(command(*where(home, tmp_path/'c'), '--quiet', '--unpinned'))
    assert 'meta_Beauty.json.gz: cut or spoilt' in spoilt
    assert not (tmp_path/'c/fetched.json').exists()

def test_two_at_a_time(home, tmp_path):
    small_shop(home)
    with download.FileLock(tmp_path/'.lock'):
        line = complaint(command(*where(home, tmp_path), '--quiet', '--unpinned'))
    assert 'another program is fetching' in line

@pytest.mark.skipif(os.name != 'posix', reason='signals')
def test_ctrl_c(home, tmp_path):
    small_shop(home)
    home.plan = [stalls(500, 60)]
    code = 'import sys; from semids.download import semids_download; sys.exit(semids_download())'
    process = subprocess.Popen([sys.executable, '-c', code, *map(str, where(home, tmp_path))],
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    part = tmp_path/'raw/reviews_Beauty_5.json.gz.part'
    # what has arrived is on the disk while the server is still waited for
    for _ in range(300):
        if part.exists() and part.stat().st_size == 500: break
        time.sleep(.1)
    assert part.stat().st_size == 500
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == 'stopped; the same command goes on from there'
    assert part.stat().st_size == 500

# ---- the real set, made backwards

@pytest.mark.skipif(not (beauty/'items.jsonl').exists(), reason='no Amazon Beauty (SEMIDS_BEAUTY)')
def test_beauty_byte_for_byte(tmp_path):
    "Reviews in the order of product and user give the standard file, its times and its numbers"
    items = [json.loads(line) for line in (beauty/'items.jsonl').read_text().splitlines()]
    ixs = read_interactions(beauty/'all_data.txt').with_times(beauty/'timestamps.txt')
    asin = {str(item['item_id']): item['asin'] for item in items}
    rows = [(asin[item], int(user), int(when)) for user, user_id in enumerate(ixs.user_ids, 1)
            for item, when in zip(ixs.item_ids[ixs[user-1]],
                                  ixs.times_A[ixs.offsets[user-1]:ixs.offsets[user]])]
    rows.sort(key=lambda row: row[:2])
    reviews = packed(tmp_path/'r.gz', *(json.dumps(
        dict(reviewerID=f'A{user}', asin=item, unixReviewTime=when)).encode()
        for item, user, when in rows))
    metadata = packed(tmp_path/'m.gz', *(repr(
        {name: item[name] for name in ('asin', 'title', 'brand')}).encode() for item in items))
    data_set = DATA_SETS['beauty']
    counts = build(data_set, reviews, metadata, tmp_path/'made', width=16)
    found = (counts['users'], counts['items'], counts['actions'])
    assert found == (data_set.n_users, data_set.n_items, data_set.n_actions)
    assert file_hash(tmp_path/'made/all_data.txt') == data_set.sha256
    for name in ('all_data.txt', 'timestamps.txt'):
        assert (tmp_path/'made'/name).read_bytes() == (beauty/name).read_bytes()
    made = (tmp_path/'made/items.jsonl').read_text().splitlines()
    assert [json.loads(line)['asin'] for line in made] == [item['asin'] for item in items]
    # another order of the same reviews is another file
    lines = [line.strip() for _, line in download.gzip_lines(reviews)]
    with pytest.raises(InputError, match='198,502 actions, SHA-256 .+; expected .+ 226cce9c'):
        build(data_set, packed(reviews, *lines[::-1]), metadata, tmp_path/'other')
