"""What follows from what was said of a contact, one thing after the other: its state, and the events that are emitted."""

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.drafts import wire_time

EMITTED = ("contact.subscribed", "contact.unsubscribed")
"""The names of the events that a change of a subscription emits. They bring no marker."""

_NEVER_MS = 1 << 60


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event that must have been emitted, once.

    Attributes:
        id: None where it is not known, as the answer of what caused it may have been lost.
    """

    at_ms: int
    name: str
    data: Any
    id: str | None = None


@dataclass(slots=True)
class Life:
    """What was said of a contact since it began.

    Attributes:
        first_ms: when the earliest of it happened.
        word: what was said last of the subscription, and when.
        data: the last value of each key, and when it was set; None deletes.
        markers: of its events in the ledger.
    """

    first_ms: int = _NEVER_MS
    word: tuple[int, bool] | None = None
    data: dict[str, tuple[int, Any]] = field(default_factory=dict)
    emitted: list[Emitted] = field(default_factory=list)
    markers: list[int] = field(default_factory=list)

    @property
    def has_begun(self) -> bool:
        """Whether anything was said."""
        return self.first_ms < _NEVER_MS

    def track(self, marker: int, at_ms: int, data: dict[str, Any], subscribed: bool | None) -> None:
        """An event of a caller. One that begins the life sets the subscription, and is no change of it."""
        if subscribed is not None:
            if not self.has_begun:
                self.word = at_ms, subscribed
            self._hear(at_ms, subscribed)
        for key, value in data.items():
            if key not in self.data or self.data[key][0] < at_ms:
                self.data[key] = at_ms, value
        self._note(at_ms, marker)

    def report_mail(self, marker: int, at_ms: int, reason: str | None) -> None:
        """A mail event; with a reason it unsubscribes. Its data tells of the mail."""
        if reason is not None:
            self._hear(at_ms, False, {"reason": reason})
        self._note(at_ms, marker)

    def report(self, at_ms: int, subscribed: bool, data: Any, event_id: str | None) -> None:
        """What is no event, but may emit one, with this data and this id."""
        self._hear(at_ms, subscribed, data, event_id)
        self._note(at_ms)

    def _hear(self, at_ms: int, subscribed: bool, data: Any = None, event_id: str | None = None) -> None:
        before_ms, was = self.word or (0, True)
        if at_ms < before_ms:
            return
        self.word = at_ms, subscribed
        if was != subscribed:
            self.emitted.append(Emitted(at_ms, EMITTED[not subscribed], data, event_id))

    def _note(self, at_ms: int, *markers: int) -> None:
        self.first_ms = min(self.first_ms, at_ms)
        self.markers += markers

    def contact(self) -> dict[str, Any]:
        """As reads must show it, without its id and address."""
        said_ms = [at_ms for at_ms, _ in self.data.values()] + ([self.word[0]] if self.word else [])
        return {
            "subscribed": self.word is None or self.word[1],
            "data": {key: value for key, (_, value) in self.data.items() if value is not None},
            "createdAt": wire_time(self.first_ms),
            "updatedAt": wire_time(max(said_ms, default=self.first_ms)),
        }
