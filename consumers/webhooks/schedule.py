"""When a delivery is tried again: growing pauses, no two alike, for a day. Pure."""

HTTP_GONE = 410

_SECOND = 1000
_PAUSES_MS = tuple(seconds * _SECOND for seconds in (5, 15, 45, 120, 300, 900, 1800, 3600, 7200, 14_400))
"""After the first attempt, the second, and so on; the last one counts for all that follow."""

_JITTER = 0.25
"""A pause is shorter or longer by so much at most: endpoints that failed together are not asked together."""

WINDOW_MS = 24 * 3600 * _SECOND
"""So long after it was due for the first time a delivery is given up."""


def is_delivered(status_code: int | None) -> bool:
    """Whether the answer says that the delivery was taken."""
    return status_code is not None and 200 <= status_code < 300


def next_attempt_ms(
    attempts: int, failed_ms: int, created_ms: int, retry_after_seconds: float | None, draw: float
) -> int | None:
    """When to try next, milliseconds since 1970; None where it is to be given up.

    What is left of the day is used: a pause that would lead beyond its end leads to the end, once.

    Args:
        attempts: how many were made, at least one.
        failed_ms: when the last one ended.
        created_ms: when the delivery was due for the first time.
        retry_after_seconds: how long the endpoint wants to be left alone at least.
        draw: a random number from 0 to 1.
    """
    end_ms = created_ms + WINDOW_MS
    if failed_ms >= end_ms:
        return None
    pause = _PAUSES_MS[min(attempts, len(_PAUSES_MS)) - 1] * (1 + _JITTER * (2 * draw - 1))
    asked_for = (retry_after_seconds or 0) * _SECOND
    return min(failed_ms + round(max(pause, asked_for)), end_ms)
