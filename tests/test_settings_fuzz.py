"Whatever a file of settings or --set holds: settings, or one line that says what is wrong"
import json
import os
from dataclasses import fields

import pytest
from hypothesis import given, settings, strategies as st

from semids.errors import InputError
from semids.pipeline import RunSettings
from semids.settings import Settings, unique_keys

LONG = os.environ.get('HYPOTHESIS_PROFILE') == 'long'
# no profile is loaded: that would change the tests of other files
many = settings(max_examples=10_000 if LONG else 100, deadline=None)

huge = st.sampled_from([2**63, -2**63, 10**400, 1e308, float('nan'), float('inf')])
scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | huge
anything = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3)
                        | st.dictionaries(st.text(max_size=9), inner, max_size=3), max_leaves=6)
PLAUSIBLE = {int: st.integers(-1, 99), float: st.floats(-1, 2), bool: st.booleans(),
             str: st.text(max_size=9), tuple: st.lists(st.integers(-1, 99), max_size=3)}

def values_of(option, value):
    "Values for an option: mostly of its type; for a group an object"
    if isinstance(value, Settings): return st.one_of(changes_of(value), changes_of(value), anything)
    plausible = PLAUSIBLE[option.type]
    among = option.metadata['limits'].get('among', ['nothing of it'])
    return st.one_of(plausible, plausible, st.sampled_from(among), scalar)

def changes_of(group):
    "Objects with the names of a group, and now and then another"
    known = {o.name: values_of(o, getattr(group, o.name)) for o in fields(group)}
    one = st.sampled_from(sorted(known)).flatmap(lambda n: st.fixed_dictionaries({n: known[n]}))
    two = st.tuples(one, one).map(lambda pair: pair[0] | pair[1])
    return st.one_of(one, one, two, st.dictionaries(st.text(max_size=5), anything, max_size=1))

def leaves(changes, path=()):
    "Every value with its path; lists, which become tuples, are values"
    for name, value in changes.items():
        if isinstance(value, dict): yield from leaves(value, path+(name,))
        else: yield path+(name,), value

paths = ['.'.join(path) for path, _ in leaves(RunSettings().to_dict())]
groups = sorted({path.rpartition('.')[0] for path in paths} - {''})

def answer(make):
    "Settings, or None for an `InputError` that a terminal shows in one line"
    try: made = make()
    except InputError as e:
        says = str(e)
        assert len(says) <= 300 and len(says.splitlines()) == 1, says
        says.encode()
        return None
    assert RunSettings().update(json.loads(json.dumps(made.to_dict()))) == made
    return made

@given(changes_of(RunSettings()) | anything)
@many
def test_objects(changes):
    made = answer(lambda: RunSettings().update(changes, 'mine.json'))
    if made is None: return
    found = dict(leaves(made.to_dict()))
    # an integer may stand for a float, and is equal to it, or for a text
    for path, value in leaves(changes): assert found[path] == value or found[path] == str(value)

names = st.sampled_from(paths) | st.sampled_from(groups) | st.text(max_size=9)
texts = anything.map(json.dumps) | st.text(max_size=9) | st.integers(1, 99).map(str)
assignments = st.builds('{}={}'.format, names, texts) | st.text(max_size=9)
meant = changes_of(RunSettings()).map(
    lambda changes: ['.'.join(path) + '=' + json.dumps(value) for path, value in leaves(changes)])

@given(meant | st.lists(assignments, max_size=3))
@many
def test_set(assignments):
    made = answer(lambda: RunSettings().with_option(*assignments))
    if made is None: return
    given = [assignment.partition('=')[0] for assignment in assignments]
    assert len(set(given)) == len(given)
    # the order in which they are given does not matter
    assert RunSettings().with_option(*assignments[::-1]) == made

def nested(n):
    "A list in a list, n times"
    value = []
    for _ in range(n): value = [value]
    return value

REFUSED = {
    'heads': (-1, 'at least 1'), 'd_head': (0, 'at least 1'), 'd': (0, 'at least 1'),
    'layers': (-1, 'at least 1'), 'max_len': (0, 'at least 1'), 'n_users': (5, 'unknown setting'),
    'd_ff': (3., 'expected int'), 'causal': (1, 'expected bool'),
    'dropout': (float('nan'), 'a finite number'), 'label_smoothing': (10**400, 'a finite number'),
    'heads ': (1, 'unknown setting'), 7: (1, 'unknown setting'), 'x'*10**6: (1, 'unknown setting')}

@pytest.mark.parametrize('name', REFUSED, ids=lambda name: str(name)[:20])
def test_refused_in_tiger(name):
    value, says = REFUSED[name]
    with pytest.raises(InputError, match=says):
        RunSettings().update({'tiger': {'model': {name: value}}})

VALUES = [True, None, '3', '٣', 3., 1e400, -1e400, 2**63, 10**5000, [], {}, nested(20_000),
          'x'*10**6, [list(range(10**5))]]

@pytest.mark.parametrize('value', VALUES, ids=lambda value: type(value).__name__)
def test_no_value_for_an_integer(value):
    with pytest.raises(InputError, match='setting seed is .*; expected ') as e:
        RunSettings().update({'seed': value})
    assert len(str(e.value)) <= 300

HIDDEN = [[0], [-1], ['a'], [1.5], [None], [[8]], [True], [2**63], [8]*101, 8, '8', {'8': 8}]

@pytest.mark.parametrize('value', HIDDEN, ids=lambda value: str(value)[:20])
def test_no_widths_of_layers(value):
    with pytest.raises(InputError, match='setting rqvae.model.hidden is .*; expected '):
        RunSettings().update({'rqvae': {'model': {'hidden': value}}})

SET = {
    'number and group': (['tiger=3', 'tiger.training.steps=1'], 'tiger has a value already'),
    'group and number': (['tiger.training.steps=1', 'tiger=3'], 'tiger has a value already'),
    'twice': (['seed=1', 'seed=2'], 'seed is set twice'),
    'twice the same': (['seed=1', 'seed=1'], 'seed is set twice'),
    'group twice': (['tiger={}', 'tiger={}'], 'tiger is set twice'),
    'inside and outside': (['seed=1', 'tiger.model.d=8', 'tiger.model={"d":8}'],
                           'tiger.model.d is set twice'),
    'twice in an object': (['tiger={"model":{}, "model":{}}'], "the key 'model' occurs twice"),
    'deep value': (['seed=' + '['*10**5], 'seed: not readable as a value: maximum recursion'),
    'deep group': (['seed' + '.x'*10**5 + '=1'], 'seed is <dict too large to be shown>'),
    'a megabyte': (['name=' + 'x'*10**6], 'expected one line of at most 1000 characters'),
    'a megabyte of names': (['x'*10**6 + '=1'], 'unknown setting .* expected one of about'),
    '5,000 digits': (['seed=' + '1'*5000], 'seed: not readable as a value: Exceeds the limit'),
    'too large for a float': (['tiger.training.lr=1e400'], 'lr is inf; expected a finite number'),
    'no name': (['=3'], "unknown setting ''"),
    'nothing': ([''], 'expected NAME=VALUE'),
    'line break': (['name=a\nb'], 'expected one line')}

@pytest.mark.parametrize('what', SET)
def test_refused_behind_set(what):
    assignments, says = SET[what]
    with pytest.raises(InputError, match=says) as e: RunSettings().with_option(*assignments)
    assert len(str(e.value)) <= 300

def test_keys_that_occur_twice():
    def read(text): return json.loads(text, object_pairs_hook=unique_keys)
    once = '{"a": {"b": [1, {"c": 2}]}, "b": {}}'
    assert read(once) == json.loads(once)
    with pytest.raises(ValueError, match="the key 'c' occurs twice"):
        read('{"a": [{"c": 1, "b": 2, "c": 1}]}')
