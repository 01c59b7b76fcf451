"""Contacts are the fold of what is said of them, in whatever order and however often it comes."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.faults import Crash, FaultyTables
from tests.support.fixtures import drop, need_chdb
from tests.support.people import Said
from tests.support.story import Story
from tests.support.tables import open_test_tables

_PEOPLE = ("ada@example.com", "bob@example.com", "ü.ñ@example.com")

_values = st.one_of(
    st.none(),
    st.sampled_from(["", "x", "\x00", 'é\\"', 0, 1.5, -0.0, 10**25, True, [1, None], {"b": 2}, [""]]),
    st.builds(lambda value: {"value": value, "persistent": False}, st.integers(0, 3)),
    st.builds(lambda value: {"value": value, "persistent": True}, st.integers(0, 3)),
)
_objects = st.dictionaries(st.sampled_from(["a", "b", "c", "", "id", "email", "persistent", "\\"]), _values, max_size=4)
_texts = st.one_of(
    _objects.map(json.dumps),
    _objects.map(lambda value: json.dumps(value, ensure_ascii=False, separators=(" , ", " : "))),
    st.sampled_from(["", "[1]", '"a"', "null", '{"a":1,"a":""}', '{"a":"","a":3}', '{"b":1e400}', '{"a":1E400,"c":2}']),
)
_subscribed = st.sampled_from([None, None, True, False])
_moments = st.integers(-3, 12)
_keys = st.one_of(st.none(), st.sampled_from(["k1", "k2", "k3"]))

_reasons = st.sampled_from(["", '{"reason":"asked"}'])

_who = st.sampled_from(_PEOPLE)
_said = st.one_of(
    st.builds(Said, st.just("track"), _who, _moments, _texts, _subscribed, _keys),
    st.builds(Said, st.just("track"), _who, _moments, _texts, _subscribed, _keys),
    st.builds(Said, st.sampled_from(["bounce", "complaint", "open"]), _who, _moments, _texts, st.none(), _keys),
    st.builds(Said, st.just("hook"), _who, _moments, _reasons, st.booleans(), st.none(), st.booleans()),
    st.builds(Said, st.just("patch"), _who, _moments, _objects.map(json.dumps), _subscribed, st.none(), st.just(True)),
    st.builds(
        Said, st.sampled_from(["entry", "exit"]), _who, _moments, st.sampled_from("ab"), st.none(), _keys, st.booleans()
    ),
    st.builds(Said, st.sampled_from(["entry", "exit"]), _who, _moments, st.just("a")),
    st.builds(Said, st.just("erase"), _who),
)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """One log for all examples; each has a project of its own."""
    need_chdb()
    tables = open_test_tables()
    yield Story(tables)
    drop(tables)


@given(
    said=st.lists(_said, max_size=24),
    together=st.lists(st.integers(1, 6), min_size=24, max_size=24),
    max_rows=st.integers(1, 30),
    crash_at=st.integers(0, 60),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_contacts_are_the_fold_of_the_log(
    story: Story, said: list[Said], together: list[int], max_rows: int, crash_at: int
) -> None:
    """Tracks, mails, hooks, changes, erasures, second copies with other bodies; late ones; a writer that dies between."""
    story.begin()
    left = said
    for size in together:
        length = next((at for at, one in enumerate(left[:size]) if one.kind == "erase"), size) or 1
        if left[:length]:
            story.tell(*left[:length])
        left = left[length:]
    with suppress(Crash):
        story.write(FaultyTables(story.tables, at=crash_at), max_rows)
    story.write(max_rows=31 - max_rows)
    story.check()
