"""What is sent: names, people, times and data, drawn at random. Each worker has an author of its own."""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.chaos.ledger import Ledger

NAMES = (
    "signup",
    "purchase",
    "page viewed",
    "Sign Up/ü%2F 🎉",
    " padded ",
    "注文",
    "Über uns",
    "a'b\"c\\d",
    "email opened",
    "x" * 255,
)
_KEY_ENDS = ("", "", ' ~!"#:;/')
_CONTACTS = 300
_DAY_MS = 86_400_000
_OLDEST_DAYS = 30


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is not sent yet."""

    marker: int
    project: int
    body: dict[str, Any]
    key: str | None = None

    def late(self) -> "Draft":
        """A retry of what is acknowledged, with other data: the first one must win."""
        return Draft(self.marker, self.project, self.body | {"data": {"marker": self.marker, "late": True}}, self.key)

    def item(self) -> dict[str, Any]:
        """As an item of a batch."""
        return self.body if self.key is None else self.body | {"idempotencyKey": self.key}


class Author:
    """Draws events and notes them in the ledger."""

    def __init__(self, number: int, random: Random, ledger: Ledger, now_ms: int) -> None:
        self._number = number
        self._random = random
        self._ledger = ledger
        self._now_ms = now_ms
        self._keys = 0

    def name(self) -> str:
        """A name; the first ones are more frequent."""
        return NAMES[min(self._random.randrange(len(NAMES)), self._random.randrange(len(NAMES)))]

    def key(self) -> str:
        """A key that nobody else uses; now and then with all that may stand in one."""
        self._keys += 1
        return f"{self._number}-{self._keys}" + self._random.choice(_KEY_ENDS)

    def draft(self, project: int, name: str, now: float, key: str | None = None, email: str = "") -> Draft:
        """An event, of anybody or of the given address."""
        marker = self._ledger.draw(project, name, now)
        email = email or f"User{self._random.randrange(_CONTACTS)}@example.com"
        data: dict[str, Any] = {"marker": marker, "who": email.lower()}
        body = {"event": name, "email": email, "data": data}
        if self._random.random() < 0.3:
            data["at"] = self._now_ms - self._random.randrange(self._age())
            body["timestamp"] = wire_time(data["at"])
        if self._random.random() < 0.02:
            data["filler"] = "ü x" * self._random.randrange(2000)
        return Draft(marker, project, body, key)

    def _age(self) -> int:
        return self._random.choice((60_000, _DAY_MS, _OLDEST_DAYS * _DAY_MS))


def wire_time(unix_ms: int) -> str:
    """ISO 8601 with milliseconds, in UTC."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"
