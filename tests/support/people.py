"""Contacts in tests: what is said of them, as lines of the log, and what becomes of it by a reference of few lines."""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from schemas.erasure import Erasure
from schemas.event import Event, encode_event
from schemas.ids import contact_id, derived_event_id
from schemas.record import pack, pack_erasure
from schemas.times import to_wire

PROJECT = "00000000-0000-4000-8000-000000000001"
FIRST_MS = 1_795_417_200_000

_RESERVED_KEYS = ("id", "email", "plunk_id", "plunk_email", "unsubscribeUrl", "subscribeUrl", "manageUrl")

Kind = Literal["track", "bounce", "complaint", "open", "hook", "patch", "entry", "exit", "erase"]

_CHANGES = {"hook", "patch", "entry", "exit"}


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that is said of a contact.

    Attributes:
        key: what repeats where it is sent again; None for what counts every time.
        known_only: whether it is void where the contact is not known.
        ms: when it happened, after `FIRST_MS`.
        data: JSON, as text; of entries and exits the segment's slug.
    """

    kind: Kind
    who: str
    ms: int = 0
    data: str = ""
    subscribed: bool | None = None
    key: str | None = None
    known_only: bool = False
    project: str = PROJECT

    @property
    def contact(self) -> str:
        return contact_id(self.project, self.who)

    def line(self, number: int) -> bytes:
        """As ingest writes it; `number` makes its id another one than that of other lines."""
        is_step = self.kind in {"entry", "exit"}
        unsubscribes = self.kind in {"bounce", "complaint"}
        told = "contact.subscribed" if self.subscribed else "contact.unsubscribed"
        names = {"track": "viewed", "hook": told, "patch": ""}
        names |= {"entry": f"segment.{self.data}.entry", "exit": f"segment.{self.data}.exit"}
        event_id = str(uuid.UUID(int=number)) if self.key is None else derived_event_id(self.contact, "t", self.key)
        return encode_event(
            Event(
                self.project,
                event_id,
                names.get(self.kind, f"email.{self.kind}"),
                to_wire(FIRST_MS + self.ms),
                self.contact,
                self.who,
                data="" if is_step else self.data,
                subscribed=False if unsubscribes else self.subscribed,
                derived=self.key is not None,
                change=self.kind in _CHANGES,
                known_only=self.known_only,
            )
        )


def packed(said: Sequence[Said], first_number: int) -> bytes:
    """A record of it; an erasure has one for itself."""
    if said[0].kind == "erase":
        (one,) = said
        return pack_erasure(Erasure(str(uuid.UUID(int=first_number)), one.project, one.contact, one.who), accepted_ms=1)
    lines = [one.line(first_number + index) for index, one in enumerate(said)]
    return pack(
        lines,
        derived=any(one.key is not None for one in said),
        accepted_ms=1,
        has_changes=any(one.kind in _CHANGES for one in said),
    )


@dataclass(slots=True)
class Person:
    """What should become of a contact.

    Attributes:
        emitted: the names and data of the contact's and segments' events, in the order in which they were caused.
        events: how many events of it there are, those among them.
    """

    subscribed: bool = True
    data: dict[str, Any] = field(default_factory=dict)
    created_ms: int = 1 << 60
    emitted: list[tuple[str, Any]] = field(default_factory=list)
    events: int = 0


@dataclass(slots=True)
class Outcome:
    """What should become of a story.

    Attributes:
        people: every contact that should be there, by its address.
        derived: how many ids the writer should remember: of events with a key, and emitted ones, erased or not.
    """

    people: dict[str, Person] = field(default_factory=dict)
    derived: int = 0


def reference(story: Iterable[Said]) -> Outcome:
    """What should become of it."""
    outcome = Outcome()
    people, words, keys, steps, seen = {}, {}, {}, {}, set()  # type: ignore[var-annotated]
    for place, one in enumerate(story):  # the fold itself; what follows it are the rules for single values
        if one.kind == "erase":
            for known in (people, words, keys, steps):
                known.pop(one.who, None)
            continue
        if one.key is not None and (one.who, one.key) in seen:
            continue
        seen.add((one.who, one.key))
        outcome.derived += one.key is not None
        if one.known_only and one.who not in people:
            continue
        if one.kind in {"entry", "exit"}:
            last_ms, was_in = steps.get(one.who, {}).get(one.data, (one.ms, False))
            if was_in == (one.kind == "entry") or one.ms < last_ms:
                continue
            steps.setdefault(one.who, {})[one.data] = one.ms, not was_in
            outcome.derived += one.key is None
        is_new = one.who not in people
        person, version = people.setdefault(one.who, Person()), (one.ms, place)
        person.created_ms = min(person.created_ms, one.ms)
        person.events += one.kind not in {"hook", "patch"}
        if one.kind in {"entry", "exit"}:
            person.emitted.append((f"segment.{one.data}.{one.kind}", None))
            continue
        if one.kind in {"track", "patch"} and one.data.startswith("{"):
            keys.setdefault(one.who, []).append((version, one.data))
        value = False if one.kind in {"bounce", "complaint"} else one.subscribed
        if value is not None:
            said = words.setdefault(one.who, [])
            before = max(said)[1] if said else (None if is_new and one.kind == "track" else True)
            said.append((version, value))
            after = max(said)[1]
            if before is not None and before != after:
                person.events += 1
                outcome.derived += 1
                person.emitted.append(("contact.subscribed" if after else "contact.unsubscribed", _reason(one)))
    for who, person in people.items():
        person.subscribed = max(words[who])[1] if who in words else True
        person.data = _merged(keys.get(who, []))
    outcome.people = people
    return outcome


def _reason(one: Said) -> Any:
    if one.kind in {"bounce", "complaint"}:
        return {"reason": one.kind}
    return json.loads(one.data) if one.kind == "hook" and one.data else None


def _merged(objects: list[tuple[tuple[int, int], str]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _, text in sorted(objects):
        for key, value in json.loads(text).items():
            passing = isinstance(value, dict) and "value" in value and value.get("persistent") is False
            if key not in _RESERVED_KEYS and not passing and not (isinstance(value, str) and not value):
                data[key] = value
    return {key: value for key, value in data.items() if value is not None}
