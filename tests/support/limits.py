"""Limits that let so much through and then nothing, however long a test takes on a busy machine."""

from penstock.settings import Limits

_PER_SECOND = 0.001
"""What flows back during a test does not make up a whole token."""


def at_most(*, events: int = 0, reads: int = 0) -> Limits:
    """The limits of a project that may do so much at once, of either kind. Not given: no limit of that kind."""
    assert bool(events) != bool(reads), "the burst is one for both kinds"
    return Limits(
        writes_per_second=_PER_SECOND if events else 0,
        reads_per_second=_PER_SECOND if reads else 0,
        burst_seconds=(events or reads) / _PER_SECOND,
    )
