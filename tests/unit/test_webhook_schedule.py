"""When a delivery is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.webhooks.schedule import WINDOW_MS, is_delivered, next_attempt_ms

CREATED_MS = 1_795_000_000_000

MIDDLE = 0.5
"""Of what is drawn: neither longer nor shorter."""

JITTER = 0.25

attempts = st.integers(1, 1000)
draws = st.floats(0, 1)
ages_ms = st.integers(0, WINDOW_MS - 1)
retry_afters = st.none() | st.floats(0, 1e12) | st.integers(0, 999_999_999).map(float)


def pause_ms(number: int, draw: float = MIDDLE, *, retry_after: float | None = None, age_ms: int = 0) -> int:
    """Between an attempt and the next."""
    failed_ms = CREATED_MS + age_ms
    at_ms = next_attempt_ms(number, failed_ms, CREATED_MS, retry_after, draw)
    assert at_ms is not None
    return at_ms - failed_ms


def test_pauses_in_the_middle_of_what_is_drawn() -> None:
    assert [pause_ms(number) // 1000 for number in range(1, 13)] == [
        5,
        15,
        45,
        120,
        300,
        900,
        1800,
        3600,
        7200,
        14_400,
        14_400,
        14_400,
    ]


@given(draws)
def test_the_first_retry_comes_within_half_a_minute(draw: float) -> None:
    assert 1000 <= pause_ms(1, draw) <= 30_000


@given(attempts, draws)
def test_pauses_grow_up_to_what_is_drawn(number: int, draw: float) -> None:
    assert pause_ms(number) <= pause_ms(number + 1)
    assert pause_ms(number, draw) <= pause_ms(number + 1, draw)
    assert pause_ms(number) * (1 - JITTER) - 1 <= pause_ms(number, draw) <= pause_ms(number) * (1 + JITTER) + 1


@given(st.integers(1, 9))
def test_each_pause_is_longer_than_the_one_before_whatever_is_drawn(number: int) -> None:
    assert pause_ms(number, 1.0) < pause_ms(number + 1, 0.0)


@given(attempts, st.tuples(draws, draws).filter(lambda two: abs(two[0] - two[1]) > 0.01))
def test_what_failed_together_is_not_tried_together(number: int, two: tuple[float, float]) -> None:
    assert pause_ms(number, two[0]) != pause_ms(number, two[1])


@given(attempts, draws, ages_ms, retry_afters)
def test_the_endpoint_is_left_alone_for_as_long_as_it_wants_but_not_beyond_the_day(
    number: int, draw: float, age_ms: int, retry_after: float | None
) -> None:
    left_ms = WINDOW_MS - age_ms
    found = pause_ms(number, draw, retry_after=retry_after, age_ms=age_ms)
    assert found >= min(int((retry_after or 0) * 1000), left_ms)
    assert found >= min(pause_ms(number, draw), left_ms)
    assert found == left_ms or found in (pause_ms(number, draw), round((retry_after or 0) * 1000))


@given(attempts, draws, ages_ms, retry_afters)
def test_no_attempt_comes_before_the_last_one_ended_or_after_the_day(
    number: int, draw: float, age_ms: int, retry_after: float | None
) -> None:
    found = next_attempt_ms(number, CREATED_MS + age_ms, CREATED_MS, retry_after, draw)
    assert found is not None
    assert CREATED_MS + age_ms < found <= CREATED_MS + WINDOW_MS


@given(attempts, draws, st.integers(-3 * WINDOW_MS, 3 * WINDOW_MS), retry_afters)
def test_it_is_given_up_exactly_when_the_day_is_over(
    number: int, draw: float, age_ms: int, retry_after: float | None
) -> None:
    found = next_attempt_ms(number, CREATED_MS + age_ms, CREATED_MS, retry_after, draw)
    assert (found is None) is (age_ms >= WINDOW_MS)


@given(st.lists(draws, min_size=30, max_size=30), st.integers(0, 120_000))
def test_a_delivery_that_always_fails_ends_at_the_end_of_its_day(draws_of_all: list[float], takes_ms: int) -> None:
    at_ms, tried = CREATED_MS, []
    for number, draw in enumerate(draws_of_all, start=1):
        tried.append(at_ms)
        following = next_attempt_ms(number, at_ms + takes_ms, CREATED_MS, None, draw)
        if following is None:
            break
        at_ms = following
    assert 12 <= len(tried) <= 20
    assert tried[-1] == CREATED_MS + WINDOW_MS or tried[-1] + takes_ms >= CREATED_MS + WINDOW_MS
    assert sum(one < CREATED_MS + 3600_000 for one in tried) >= 6


def test_the_last_moment_of_the_day() -> None:
    end_ms = CREATED_MS + WINDOW_MS
    assert next_attempt_ms(12, end_ms - 1, CREATED_MS, None, MIDDLE) == end_ms
    assert next_attempt_ms(12, end_ms - 1, CREATED_MS, 1e9, MIDDLE) == end_ms
    assert next_attempt_ms(12, end_ms, CREATED_MS, None, MIDDLE) is None
    assert next_attempt_ms(1, end_ms, CREATED_MS, 0.0, MIDDLE) is None


@pytest.mark.parametrize("retry_after", [None, 0.0, 0.5, 4.9])
def test_an_endpoint_cannot_ask_for_shorter_pauses(retry_after: float | None) -> None:
    assert pause_ms(1, retry_after=retry_after) == 5000


@pytest.mark.parametrize(
    ("status_code", "is_taken"),
    [
        (None, False),
        (0, False),
        (100, False),
        (199, False),
        (200, True),
        (201, True),
        (204, True),
        (299, True),
        (300, False),
        (304, False),
        (400, False),
        (404, False),
        (410, False),
        (429, False),
        (500, False),
        (503, False),
    ],
)
def test_what_counts_as_delivered(status_code: int | None, is_taken: bool) -> None:
    assert is_delivered(status_code) is is_taken
