"""What the list of a project holds: for the sums, the other lists, and the contacts."""

from array import array
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.life import EMITTED

_NEVER_MS = 1 << 60
_UNLISTED = -(1 << 62)


@dataclass(slots=True)
class Owner:
    """What the list shows of a contact.

    Attributes:
        first_ms, last_ms: when the earliest and the latest of its events happened, which callers sent.
        latest: the markers of those that happened then.
        emitted: the events that were emitted, newest first.
    """

    email: str
    first_ms: int = _NEVER_MS
    last_ms: int = 0
    latest: set[int] = field(default_factory=set)
    emitted: list[dict[str, Any]] = field(default_factory=list)

    def note(self, marker: int, unix_ms: int) -> None:
        """Notes an event."""
        if unix_ms > self.last_ms:
            self.latest.clear()
            self.last_ms = unix_ms
        self.first_ms = min(self.first_ms, unix_ms)
        if unix_ms == self.last_ms:
            self.latest.add(marker)


@dataclass(slots=True)
class Listed:
    """See the module.

    Attributes:
        times: when the events of each name happened, in milliseconds since 1970.
        by_name, by_contact: the numbers of the events, see `number_of`.
        owners: by their ids.
    """

    times: dict[str, "array[int]"] = field(default_factory=dict)
    by_name: dict[str, "array[int]"] = field(default_factory=dict)
    by_contact: dict[str, "array[int]"] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    _emitted: dict[str, int] = field(default_factory=dict)

    def add(self, row: dict[str, Any], unix_ms: int) -> None:
        """Notes a row."""
        owner = self.owners.setdefault(row["contactId"], Owner(row["contact"]["email"]))
        if is_emitted(row):
            self._emitted[row["id"]] = ~len(self._emitted)
            owner.emitted.append(row)
        else:
            owner.note(row["data"]["marker"], unix_ms)
        number = self.number_of(row)
        self.times.setdefault(row["name"], array("q")).append(unix_ms)
        self.by_name.setdefault(row["name"], array("q")).append(number)
        self.by_contact.setdefault(row["contactId"], array("q")).append(number)

    def number_of(self, row: dict[str, Any]) -> int:
        """The marker of an event; of one that was emitted a negative number."""
        return self._emitted.get(row["id"], _UNLISTED) if is_emitted(row) else int(row["data"]["marker"])


def is_emitted(row: dict[str, Any]) -> bool:
    """Whether penstock made the event."""
    return row["name"] in EMITTED
