"""Dead letters: how they are kept, and when there are too many of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.deadletter import DeadLetter, DeadLetterLimit, publish, publish_replayed
from consumers.letters import read_letters
from penstock.commands.dead_letters import _printable
from penstock.errors import StartError
from penstock.eventlog.sqlite import SqliteLog


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path)
    opened.open()
    yield opened
    opened.close()


def test_letters_are_read_back_oldest_first_and_one_that_was_set_aside_twice_counts_once(log: SqliteLog) -> None:
    letters = [DeadLetter(0, 9, None, "not readable", b"\xff\x00"), DeadLetter(0, 4, 2, "refused", b"{}")]
    for now_ms, letter in enumerate([*letters, letters[0]]):
        publish(log, letter, now_ms)
    found = read_letters(log)
    assert list(found) == ["events/0/9", "events/0/4/2"]
    first = found["events/0/9"]
    assert (first.topic, first.partition, first.offset, first.index) == ("events", 0, 9, None)
    assert (first.reason, first.deadAt, first.value) == ("not readable", "1970-01-01T00:00:00.000Z", b"\xff\x00")
    assert found["events/0/4/2"].index == 2


def test_a_letter_that_was_replayed_keeps_what_it_was_and_says_where_it_went_first(log: SqliteLog) -> None:
    letter = DeadLetter(3, 9, 1, "refused", b"{}")
    publish(log, letter, 0)
    publish_replayed(log, letter.key, 3, 40, 1)
    publish_replayed(log, letter.key, 3, 41, 2)
    publish(log, letter, 3)  # a rebuild sets it aside again
    publish_replayed(log, "events/3/77", 3, 42, 4)  # of a letter that nobody knows
    [(key, found)] = read_letters(log).items()
    assert (key, found.reason, found.value, found.deadAt) == (letter.key, "refused", b"{}", "1970-01-01T00:00:00.000Z")
    assert (found.replayedAt, found.replayedOffset) == ("1970-01-01T00:00:00.001Z", 40)


def test_a_letter_is_shown_without_what_a_terminal_would_obey() -> None:
    assert _printable(b"a\x1b[2J\n\xff\r\xc2\x9bx \xc3\xbc") == "a\\x1b[2J\n\\xff\\r\\x9bx ü"


def test_a_letters_key_names_its_place() -> None:
    assert DeadLetter(3, 7, None, "why", b"").key == "events/3/7"
    assert DeadLetter(3, 7, 2, "why", b"").key == "events/3/7/2"


def test_a_few_bad_events_stop_nobody_however_few_good_ones_there_are() -> None:
    limit = DeadLetterLimit(0.5)
    for _ in range(20):
        limit.count(good=0, bad=1)
    with pytest.raises(StartError, match="penstock dead-letters list"):
        limit.count(good=0, bad=1)


def test_what_stops_the_writer_names_an_example() -> None:
    with pytest.raises(StartError, match=r"events/0/17: the checksum does not match"):
        DeadLetterLimit(0.5).count(good=0, bad=21, example=DeadLetter(0, 17, None, "the checksum does not match", b""))


def test_the_share_of_the_last_thousand_counts() -> None:
    limit = DeadLetterLimit(0.5)
    limit.count(good=1000, bad=0)
    limit.count(good=0, bad=500)
    with pytest.raises(StartError):
        limit.count(good=0, bad=1)


def test_good_events_push_bad_ones_out() -> None:
    limit = DeadLetterLimit(0.5)
    for _ in range(100):
        limit.count(good=1000, bad=20)


def test_a_large_batch_counts_by_its_share() -> None:
    DeadLetterLimit(0.5).count(good=50_000, bad=900)
    with pytest.raises(StartError):
        DeadLetterLimit(0.5).count(good=50_000, bad=51_000)


def test_a_share_of_one_stops_never() -> None:
    DeadLetterLimit(1).count(good=0, bad=5000)
