"""What deliveries are made with."""

from dataclasses import dataclass

from consumers.stored import Stored
from penstock.clickhouse.generations import Generations
from penstock.clock import Clock
from penstock.control import ControlFollower
from penstock.eventlog import EventLog
from penstock.registry import Registry
from penstock.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Workplace:
    """All of it is open.

    Attributes:
        stored: how far the partitions that are written here are stored.
    """

    log: EventLog
    generations: Generations
    registry: Registry
    follower: ControlFollower
    stored: Stored
    metrics: Metrics
    clock: Clock
