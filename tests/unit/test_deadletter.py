"""Dead letters, and when there are too many of them."""

import pytest

from consumers.deadletter import DeadLetter, DeadLetterLimit
from penstock.errors import StartError


def test_a_letters_key_names_its_place() -> None:
    assert DeadLetter(3, 7, None, "why", b"").key == "events/3/7"
    assert DeadLetter(3, 7, 2, "why", b"").key == "events/3/7/2"


def test_a_few_bad_events_stop_nobody_however_few_good_ones_there_are() -> None:
    limit = DeadLetterLimit(0.5)
    for _ in range(20):
        limit.count(good=0, bad=1)
    with pytest.raises(StartError, match="penstock dead-letters list"):
        limit.count(good=0, bad=1)


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
