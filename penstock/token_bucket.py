"""A token bucket, as arithmetic: no clock, no lock, and of each bucket one number, the moment when it is full again.

It fills at a steady rate up to its burst. What costs more than the burst passes where the bucket is full, and leaves a
debt behind: large batches are as fast as small ones on average, and none is refused for ever.
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple

_ROUNDING = 1e-6
"""Tokens that sums of floating-point numbers may lose."""

_LONGEST_SECONDS = 86_400
"""No header names more, however slow the rate."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a bucket fills, and how much it holds."""

    per_second: float
    burst: int


class Verdict(NamedTuple):
    """What becomes of a request.

    Attributes:
        full_at: when the bucket is full again, by the clock that `take` was given.
        remaining: the tokens that are left, whole ones.
        reset_seconds: until the bucket is full; where refused, until the request would pass. Whole ones, rounded up.
    """

    admitted: bool
    full_at: float
    remaining: int
    reset_seconds: int


def take(rate: Rate, full_at: float, now: float, cost: int) -> Verdict:
    """Takes `cost` tokens at `now` (seconds), or nothing where they are not there."""
    level = rate.burst - max(0.0, full_at - now) * rate.per_second
    missing = min(cost, rate.burst) - level
    if missing > _ROUNDING:
        seconds = max(1, _whole(missing / rate.per_second))
        return Verdict(False, full_at, max(0, floor(level + _ROUNDING)), seconds)
    level -= cost
    seconds_to_full = (rate.burst - level) / rate.per_second
    remaining = max(0, floor(level + _ROUNDING))
    return Verdict(True, now + seconds_to_full, remaining, _whole(seconds_to_full))


def _whole(seconds: float) -> int:
    return ceil(min(seconds, _LONGEST_SECONDS) - _ROUNDING)
