"""What a run is told, and where its decisions come from."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

FORMS = ("embedded", "kafka")


@dataclass(frozen=True)
class Options:
    """A run of one form.

    Attributes:
        seed: repeats the decisions; what the machine makes of them differs from run to run.
        minutes: the longest time under load.
        events, kills: goals; with one of them the load ends when all given ones are reached.
        breaks: which kinds of targets are broken; none named: all.
        rate: acknowledged events per second that the load aims at.
        fault_every_seconds: the mean pause between two faults.
        exit_seconds: how long a process may take to end after SIGTERM; the product promises 10.
        deletes: None for "if the product has the route".
    """

    form: str
    seed: str
    minutes: float = 5.0
    events: int | None = None
    kills: int | None = None
    breaks: tuple[str, ...] = ()
    rate: float = 2500.0
    workers: int = 12
    projects: int = 3
    consumers: int = 1
    fault_every_seconds: float = 4.0
    faults_at_once: int = 2
    longest_pause_seconds: float = 15.0
    exit_seconds: float = 10.0
    deletes: bool | None = None
    require_verify: bool = False
    catch_up_seconds: float = 120.0
    progress_seconds: float = 5.0
    directory: Path = Path()

    def random(self, what: str) -> Random:
        """Where the decisions about one thing come from: they do not depend on when others are made."""
        return Random(f"{self.seed}/{self.form}/{what}")

    def is_done(self, acknowledged: int, kills: int) -> bool:
        """Whether all goals are reached; without goals the time decides."""
        goals = [(self.events, acknowledged), (self.kills, kills)]
        given = [(goal, reached) for goal, reached in goals if goal is not None]
        return bool(given) and all(reached >= goal for goal, reached in given)
