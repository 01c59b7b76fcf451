"""The topics of the log, and which partition an event goes to."""

from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """The last part of a topic's name; the first is the prefix from the settings (`penstock`)."""

    EVENTS = "events"
    CONTROL = "control"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class TopicPolicy:
    """How a topic is kept.

    Attributes:
        partitions: None where the settings say.
        compacted: whether only the newest record of a key is kept; else all, for ever.
    """

    partitions: int | None
    compacted: bool


POLICIES = {
    Topic.EVENTS: TopicPolicy(partitions=None, compacted=False),
    Topic.CONTROL: TopicPolicy(partitions=1, compacted=True),
    Topic.DEAD_LETTER: TopicPolicy(partitions=1, compacted=False),
}


def partition_of(contact_id: str, partitions: int) -> int:
    """The partition of a contact's events: one contact's events stay in order, and a retry meets its first copy.

    The last 48 bits of the id are digest bits (UUIDv5), so they spread evenly; the rule is part of the format and the
    number of partitions fixed at creation, as another one would separate a retry from its first copy.
    """
    return int(contact_id[24:], 16) % partitions
