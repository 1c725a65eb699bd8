"What a program can ask wrongly: refused in one line, before any work and in no time"
import time

import numpy as np
import pytest
import torch

from semids.errors import InputError
from semids.files import file_hash
from semids.recommender import Recommender, one_slip
from semids.semantic_ids import SemanticIDs, write_ids
from semids.tiger import TIGER, TIGERSettings
from semids.training import save_model

IDS = ['oil-0', 'oil-1', 'cream-0', '7', 'é']

def in_order(history_BT, k, mask_seen=True):
    "A ranker that ranks items by their rows"
    items_BN = torch.arange(len(IDS)).expand(len(history_BT), -1)
    return items_BN[:, :k], -items_BN[:, :k].float()

@pytest.fixture
def shop(): return Recommender(in_order, IDS)

def never(history_BT, k, mask_seen): raise AssertionError('the model was asked')

def says(call):
    "The message of an `InputError`, which a terminal shows in one line"
    with pytest.raises(InputError) as e: call()
    message = str(e.value)
    assert len(message) <= 300 and len(message.splitlines()) == 1
    message.encode()
    return message

def deep():
    "A list in a list, many times: Python cannot even write it"
    value = []
    for _ in range(20_000): value = [value]
    return value

COUNTS = [0, -1, 2.5, 3., True, None, 'x', '3', float('nan'), [3], deep(), -10**5000]

@pytest.mark.parametrize('value', COUNTS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize('name', ['k', 'batch_size'])
def test_counts(name, value):
    r = Recommender(never, IDS)
    message = says(lambda: r.recommend_many([['oil-0']], **{name: value}))
    assert message.startswith(f'{name} is ') and 'expected an integer of at least 1' in message

@pytest.mark.parametrize('value', ['no', 0, 1, None, 'False', []])
def test_mask_seen(value):
    message = says(lambda: Recommender(never, IDS).recommend(['oil-0'], mask_seen=value))
    assert message == f'mask_seen is {value!r}; expected True or False'

@pytest.mark.parametrize('kind', [int, np.int64, np.int8])
def test_numbers_of_numpy_are_numbers(shop, kind):
    assert shop.recommend(['oil-0'], k=kind(2)) == shop.recommend(['oil-0'], k=2)
    assert shop.recommend(['oil-0'], mask_seen=np.bool_(True)) == shop.recommend(['oil-0'])

HISTORIES = {
    'one id': ('oil-0', "history: 'oil-0' is not a list"),
    'bytes': (b'oil-0', "history: b'oil-0' is not a list"),
    'nothing': (None, 'history: None is not a list'),
    'a number': (7, 'history: 7 is not a list'),
    'empty': ([], 'history: it is empty; expected at least one item'),
    'empty array': (np.array([]), 'history: it is empty'),
    'no id': ([None], 'history: None is no id'),
    'a truth': ([True], 'history: True is no id'),
    'a float': ([7.], 'history: 7.0 is no id'),
    'a list of lists': ([['oil-0']], r"history: ['oil-0'] is no id"),
    'a deep list': ([deep()], 'history: <list too large to be shown> is no id'),
    'a tensor': (torch.tensor([7]), 'history: tensor(7) is no id'),
    'unknown': (['oil-0', 'oil-2'], "item 'oil-2' is not in the catalogue of 5 items; did "),
    'half a character': (['\ud800'], r"item '\ud800' is not in the catalogue"),
    'two lines': (['oil\n0'], r"item 'oil\n0' is not in the catalogue of 5 items"),
    'a megabyte': (['x'*2**20], "xx' is not in the catalogue of 5 items"),
    'many digits': ([10**4000], "00' is not in the catalogue of 5 items")}

@pytest.mark.parametrize('what', HISTORIES)
def test_histories(what):
    history, expected = HISTORIES[what]
    r = Recommender(never, IDS)
    assert expected in says(lambda: r.recommend(history))
    assert expected.replace('history', 'history 2 of 2') in says(
        lambda: r.recommend_many([['oil-0'], history]))

@pytest.mark.parametrize('what', [w for w in HISTORIES if not w.startswith(('empty', 'nothing'))])
def test_allowed(what):
    allowed, expected = HISTORIES[what]
    # a tensor is taken for a mask
    expected = 'tensor of torch.int64' if what == 'a tensor' else expected
    message = says(lambda: Recommender(never, IDS).recommend(['oil-0'], allowed=allowed))
    assert expected.replace('history', 'allowed') in message

@pytest.mark.parametrize('histories', ['oil-0', b'x', None, 3])
def test_no_list_of_histories(histories):
    assert says(lambda: Recommender(never, IDS).recommend_many(histories)).startswith('histories: ')

def test_ids_may_be_numbers_and_anything_in_a_row(shop):
    expected = shop.recommend(['7', 'é'])
    for history in ([7, 'é'], (7, 'é'), np.array(['7', 'é']), iter([np.int32(7), 'é'])):
        assert shop.recommend(history) == expected
    assert shop.recommend_many(iter([['7', 'é']])) == [expected]
    assert shop.recommend_many([]) == []

def test_a_mask_is_what_a_list_is(shop):
    mask_N = shop.allowed_mask({'é', 'oil-1'})
    assert mask_N.tolist() == [False, True, False, False, True]
    found = shop.recommend(['7'], allowed=['é', 'oil-1'])
    assert [item for item, _ in found] == ['oil-1', 'é']
    assert shop.recommend(['7'], allowed=mask_N) == found
    assert shop.recommend(['7'], allowed=[]) == []

@pytest.mark.parametrize('mask_N', [torch.ones(5), torch.ones(4, dtype=torch.bool),
                                    torch.ones(1, 5, dtype=torch.bool)])
def test_no_mask_of_this_catalogue(mask_N):
    message = says(lambda: Recommender(never, IDS).recommend(['7'], allowed=mask_N))
    assert 'expected ids, or a mask of 5 items' in message

def distance(a, b):
    "Characters more, fewer or other, or neighbours that changed places (Damerau, Levenshtein)"
    d = {(i, 0): i for i in range(len(a)+1)} | {(0, j): j for j in range(len(b)+1)}
    for i in range(1, len(a)+1):
        for j in range(1, len(b)+1):
            best = [d[i-1, j]+1, d[i, j-1]+1, d[i-1, j-1]+(a[i-1] != b[j-1])]
            swapped = a[i-2:i] == b[j-2:j][::-1]
            if i > 1 and j > 1 and swapped: best.append(d[i-2, j-2]+1)
            d[i, j] = min(best)
    return d[len(a), len(b)]

@pytest.mark.parametrize('word', ['', 'a', 'oil-0', 'Aa bb'])
def test_one_slip_is_all_that_is_one_away(word):
    case = {word.strip(), word.lower(), word.upper()}
    found = set(one_slip(word)) - case
    assert all(distance(word, one) <= 1 for one in found)
    rng = np.random.default_rng(0)
    for _ in range(300):
        # a random change of a character or two is found if it is one away
        letters = list(word)
        for _ in range(rng.integers(1, 3)):
            at = rng.integers(len(letters)+1)
            letters[at:at+rng.integers(2)] = rng.choice(list('ab1-'), rng.integers(2))
        other = ''.join(letters)
        assert (other in found | case) == (distance(word, other) <= 1 or other in case)

def test_an_unknown_id_is_noticed_at_once():
    "In a catalogue of 300,000; to compare with each of them took a second"
    r = Recommender(never, [f'item-{n}' for n in range(300_000)])
    for item in ('item-3000000', 'x'*100, 'x'*2**20, 'Item-7'):
        began = time.perf_counter()
        says(lambda: r.recommend([item]))
        assert time.perf_counter()-began < .3
    assert "did you mean 'item-7'?" in says(lambda: r.recommend(['Item-7']))

@pytest.fixture
def folder(tmp_path):
    "A run's folder with an untrained TIGER"
    ids = SemanticIDs(np.array(['a', 'b', 'c']), torch.tensor([[0, 1], [1, 0], [1, 1]]), 4)
    ids_path = tmp_path/'tiger/semantic_ids.json'
    write_ids(ids, ids_path)
    small = TIGERSettings(d=8, heads=1, d_head=8, d_ff=8, layers=1, max_len=4)
    save_model(TIGER(2, 4, small), tmp_path/'tiger', ids=file_hash(ids_path))
    return tmp_path

def test_load(folder):
    found = Recommender.load(folder).recommend(['a'])
    assert {item for item, _ in found} == {'b', 'c'}

# None asks for the beams of the run
NO_BEAMS = [value for value in COUNTS if value is not None]

@pytest.mark.parametrize('beams', NO_BEAMS, ids=lambda value: type(value).__name__)
def test_load_with_no_number_of_beams(folder, beams):
    assert says(lambda: Recommender.load(folder, beams=beams)).startswith('beams is ')

@pytest.mark.parametrize('model', ['bert', 'TIGER', '', None, 3, ['tiger'], 'x'*2**20],
                         ids=lambda model: str(model)[:9])
def test_load_no_such_model(folder, model):
    message = says(lambda: Recommender.load(folder, model=model))
    known = "'sasrec', 'tiger', 'rq_transformer', 'neighbours', 'fusion', 'markov'"
    assert message.endswith(f'is not one of {known}')

def spoil(folder, what):
    if what == 'no IDs': (folder/'tiger/semantic_ids.json').unlink()
    if what == 'folder of IDs':
        (folder/'tiger/semantic_ids.json').unlink()
        (folder/'tiger/semantic_ids.json').mkdir()
    if what == 'other IDs': (folder/'tiger/semantic_ids.json').open('a').write('\n')

@pytest.mark.parametrize('what, expected', [
    ('no IDs', 'semantic_ids.json: no such file'),
    ('folder of IDs', 'semantic_ids.json: no such file'),
    ('other IDs', 'trained on other semantic IDs')])
def test_load_with_other_ids(folder, what, expected):
    spoil(folder, what)
    assert expected in says(lambda: Recommender.load(folder))

def test_load_from_nowhere(folder):
    for where in ('elsewhere', 'semantic_ids.json', 'two\nlines', 'nul\0'):
        for model in ('tiger', 'sasrec'):
            message = says(lambda: Recommender.load(folder/where, model))
            assert 'no such file; expected a trained' in message
