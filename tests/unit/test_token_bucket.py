"""The bucket: what passes, what waits for how long, and what is left. The clock is a number."""

import random

import pytest

from penstock.token_bucket import Rate, take

RATE = Rate(per_second=10, burst=100)


def test_a_full_bucket_gives_its_burst_at_once_and_then_what_flows_in() -> None:
    full_at, passed = 0.0, 0
    for _ in range(150):
        verdict = take(RATE, full_at, 1000.0, 1)
        full_at, passed = verdict.full_at, passed + verdict.admitted
    assert passed == 100
    for _ in range(50):
        verdict = take(RATE, full_at, 1002.5, 1)
        full_at, passed = verdict.full_at, passed + verdict.admitted
    assert passed == 125


def test_it_tells_what_is_left_and_when_it_is_full_again() -> None:
    verdict = take(RATE, 0.0, 1000.0, 30)
    assert (verdict.admitted, verdict.remaining, verdict.reset_seconds) == (True, 70, 3)
    verdict = take(RATE, verdict.full_at, 1001.0, 1)
    assert (verdict.remaining, verdict.reset_seconds) == (79, 3)  # 2.1 s, rounded up
    assert take(RATE, verdict.full_at, 2000.0, 0).reset_seconds == 0


def test_what_is_refused_costs_nothing_and_says_when_it_would_pass() -> None:
    spent = take(RATE, 0.0, 1000.0, 95).full_at
    refused = take(RATE, spent, 1000.0, 40)
    assert refused == (False, spent, 5, 4)
    assert not take(RATE, spent, 1003.4, 40).admitted
    assert take(RATE, spent, 1003.5, 40).admitted


@pytest.mark.parametrize("per_second", [1000, 3, 0.01, 1e-300])
def test_a_refusal_asks_for_a_second_at_least_and_a_day_at_most(per_second: float) -> None:
    rate = Rate(per_second, 1)
    refused = take(rate, take(rate, 0.0, 1000.0, 1).full_at, 1000.0, 1)
    assert not refused.admitted
    assert 1 <= refused.reset_seconds <= 86_400


def test_more_than_the_burst_passes_where_the_bucket_is_full_and_is_paid_off_afterwards() -> None:
    large = take(RATE, 0.0, 1000.0, 1000)
    assert (large.admitted, large.remaining, large.reset_seconds) == (True, 0, 100)
    assert take(RATE, large.full_at, 1000.0, 1) == (False, large.full_at, 0, 91)  # 900 in debt, and one more
    assert take(RATE, large.full_at, 1090.0, 1).admitted is False
    assert take(RATE, large.full_at, 1090.1, 1).admitted is True
    assert take(RATE, large.full_at, 1099.9, 1000) == (False, large.full_at, 99, 1)
    assert take(RATE, large.full_at, 1100.0, 1000).admitted is True


def test_over_a_long_time_no_more_passes_than_the_rate_allows() -> None:
    chance = random.Random(7)
    full_at, now, passed = 0.0, 5000.0, 0
    for _ in range(20_000):
        now += chance.random() * 0.1
        cost = chance.choice([1, 1, 1, 20, 300])
        verdict = take(RATE, full_at, now, cost)
        full_at = verdict.full_at
        passed += cost if verdict.admitted else 0
    allowed = RATE.burst + (now - 5000.0) * RATE.per_second
    assert allowed * 0.95 < passed <= allowed + 300  # the last one may leave a debt
