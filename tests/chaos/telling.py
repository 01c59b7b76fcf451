"""Says things of contacts, one after the other and each until it is acknowledged. See `people` for what follows."""

import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from tests.chaos.drafts import NAMES, Draft, wire_time
from tests.chaos.erasing import erase, look
from tests.chaos.people import Person
from tests.chaos.posting import Answer
from tests.chaos.scene import Scene
from tests.chaos.writing import Writing

_PEOPLE = 3
_OLDEST_MS = 30 * 86_400_000
_YOUNGEST_MS = 86_400_000
_STEPS_MS = (1, 1_000, 60_000)
_EARLY_SHARE = 0.15
_MAILS: tuple[tuple[str, dict[str, str], str | None], ...] = (
    ("email.complaint", {}, "complaint"),
    ("email.bounce", {"bounceType": "Permanent"}, "bounce"),
    ("email.bounce", {"bounceType": "Transient"}, None),
)

Act = Callable[[Person], Awaitable[None]]


class Telling:
    """One worker's people. Nobody else says anything new of them."""

    def __init__(self, number: int, scene: Scene, random: Random, writing: Writing, now_ms: int) -> None:
        self._number, self._scene, self._random, self._writing, self._now_ms = number, scene, random, writing, now_ms
        self._count = 0
        self._people = [self._person() for _ in range(_PEOPLE)]
        self._acts: dict[Act, float] = {
            self.track: 40,
            self.report: 25,
            self.report_mail: 15,
            self.look: 10,
            self.erase: 7,
        }

    def _person(self) -> Person:
        self._count += 1
        email = f"told{self._number}-{self._count}@example.com"
        clock_ms = self._now_ms - self._random.randrange(_YOUNGEST_MS, _OLDEST_MS)
        person = Person(self._scene.project(self._random), email, clock_ms)
        self._scene.people.add(person)
        return person

    async def say(self) -> None:
        """One thing of one of them. Of whom nothing more is said gives way to another."""
        await self._scene.pace.take(1)
        slot = self._random.randrange(_PEOPLE)
        person = self._people[slot]
        act = self._random.choices(list(self._acts), list(self._acts.values()))[0]
        await act(person)
        if person.is_closed:
            self._people[slot] = self._person()

    # --- what is said

    async def track(self, person: Person) -> None:
        """An event with a key, mostly with a word on the subscription."""
        at_ms, subscribed = self._time(person), self._random.choice((None, True, False))
        marker, data = self._event(person, self._random.choice(NAMES), at_ms)
        key = f"told {self._random.randrange(3)}"
        data |= {key: None if self._random.random() < 0.3 else marker}
        body = self._body(person, at_ms, event=self._scene.ledger.name_of(marker)[1], data=data)
        body |= {} if subscribed is None else {"subscribed": subscribed}
        answer = await self._writing.track(Draft(marker, person.project, body, f"told {marker}"))
        if self._is_heard(person, answer):
            person.life.track(marker, at_ms, data, subscribed)

    async def report_mail(self, person: Person) -> None:
        """A complaint or a bounce, with an id."""
        at_ms = self._time(person)
        name, more, reason = self._random.choice(_MAILS)
        marker, data = self._event(person, name, at_ms)
        body = self._body(person, at_ms, event=name, data=data | more, id=f"told {marker}")
        draft = Draft(marker, person.project, body)
        if self._is_heard(person, await self._writing.report_mail(draft)):
            person.life.report_mail(marker, at_ms, reason)
            person.mails.append(draft)

    async def report_mail_again(self, person: Person) -> None:
        """What was reported before, with other data, perhaps after an erasure: nothing follows from it."""
        if person.mails:
            self._is_heard(person, await self._writing.report_mail(self._random.choice(person.mails).late()))

    async def report(self, person: Person) -> None:
        """What another system knows of the subscription. It has no id: only its time makes a copy harmless."""
        at_ms, subscribed = self._time(person), self._random.random() < 0.5
        body = self._body(person, at_ms, subscribed=subscribed)
        if person.life.has_begun and self._random.random() < 0.5:
            body["contactId"] = person.id
            del body["email"]
        data = {"reason": f"told {at_ms}"} if self._random.random() < 0.5 else None
        answer, is_first = await self._reported(person, body | (data or {}))
        if answer is not None and self._is_heard(person, answer):
            event_id = answer.json()["data"]["event"] if is_first else None
            person.life.report(at_ms, subscribed, data, event_id)

    async def _reported(self, person: Person, body: dict[str, Any]) -> tuple[Answer | None, bool]:
        """The answer, and whether it was the first attempt that had it."""
        is_first = True
        while (answer := await self._writing.report_contact(person.project, body)) is None:
            is_first, person.late_reports = False, True
            if self._scene.closed.is_set():
                break
        return answer, is_first

    async def look(self, person: Person) -> None:
        """The contact is what was said of it, right after."""
        if person.position:
            await look(self._scene, person)

    async def erase(self, person: Person) -> None:
        """All that was said is forgotten. Who must not be erased gives way to another who may."""
        if person.late_reports:
            person.is_closed = True
        elif person.life.has_begun:
            await erase(self._scene, person)

    # --- its parts

    def _time(self, person: Person) -> int:
        step_ms = self._random.choice(_STEPS_MS)
        return person.earlier(step_ms) if self._random.random() < _EARLY_SHARE else person.later(step_ms)

    def _event(self, person: Person, name: str, at_ms: int) -> tuple[int, dict[str, Any]]:
        marker = self._scene.ledger.draw(person.project, name, time.monotonic())
        return marker, {"marker": marker, "who": person.email, "at": at_ms}

    def _body(self, person: Person, at_ms: int, **more: Any) -> dict[str, Any]:
        email = self._random.choice((person.email, person.email.capitalize()))
        return {"email": email, "timestamp": wire_time(at_ms), **more}

    def _is_heard(self, person: Person, answer: Answer | None) -> bool:
        if answer is None:
            person.is_undecided = True
            return False
        contact = answer.json()["data"]["contact"]
        if person.id not in ("", contact):
            self._scene.complaints.add("another contact", f"{person.email}: {contact} answered, {person.id} before")
        person.id, person.position = contact, answer.headers["X-Position"]
        return True
