"""What holds where more comes than goes: who has to step back, and for how long. Pure."""

from math import ceil

SHORTEST_RETRY_SECONDS = 1
LONGEST_RETRY_SECONDS = 30


def is_over_share(*, held: int, total: int, bound: int, holders: int) -> bool:
    """Whether a project takes room that others need, of a bound that all projects share.

    Up to half of the bound anybody may take what there is. Above, a project may hold the same as each of the others and
    one more, who is still to come: for that one there is room at any time, whatever those who are there do.

    Args:
        held: what the project would hold.
        total: what all would hold together.
        holders: how many projects would hold something, this one among them.
    """
    return total * 2 > bound and held * (holders + 1) > bound


def retry_after_seconds(waiting: float, done: float, seconds: float) -> int:
    """When it is worth another try: after the time that what waits will take, as fast as it went lately.

    Where nothing was done, it lasts as long again as it lasted already.

    Args:
        waiting: how much there is to do.
        done: how much of the same was done lately.
        seconds: in how much time.
    """
    needed = waiting * seconds / done if done > 0 else seconds
    return ceil(min(max(needed, SHORTEST_RETRY_SECONDS), LONGEST_RETRY_SECONDS))
