"""Which fault comes next. Pure: decisions, no process."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from tests.chaos.options import Options

_WEIGHTS = {"kafka": 0.6, "clickhouse": 1.0, "consume": 1.2}
"""Of targets; a broker that is away stops all writes, so it is chosen less often."""


class Action(StrEnum):
    """What happens to a process."""

    KILL = "kill -9"
    TERMINATE = "restart"
    PAUSE = "pause"


_ACTIONS = {Action.KILL: 6, Action.TERMINATE: 2, Action.PAUSE: 2}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        after_seconds: the time between the last one's begin and this one's.
        seconds: how long the target stands still, or is away before it is started again.
        patient: whether the next fault leaves the target alone until it is ready again.
        measured: whether it is measured when the reads have caught up.
    """

    target: str
    action: Action
    after_seconds: float
    seconds: float
    patient: bool
    measured: bool


def faults(random: Random, targets: list[str], options: Options) -> Iterator[Fault]:
    """Faults for ever."""
    weights = [_WEIGHTS.get(target.partition("-")[0], 1.0) for target in targets]
    while True:
        target = random.choices(targets, weights)[0]
        action = random.choices(list(_ACTIONS), list(_ACTIONS.values()))[0]
        after = min(random.expovariate(1 / options.fault_every_seconds), 5 * options.fault_every_seconds)
        seconds = _seconds(random, action, options.longest_pause_seconds)
        patient, measured = random.random() < 0.7, random.random() < 0.3
        yield Fault(target, action, after, seconds, patient, measured)


def _seconds(random: Random, action: Action, longest: float) -> float:
    """Most restarts follow at once; most pauses are short, and some outlast the consumer group's session."""
    if action is Action.PAUSE:
        return random.uniform(min(1.0, longest), longest if random.random() < 0.25 else min(4.0, longest))
    return random.choice((0.0, 0.0, 0.0, random.uniform(0, 5)))
