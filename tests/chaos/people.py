"""What should become of contacts: those that are told of, by the sequence of what was acknowledged, and all others.

A contact that is told of belongs to one worker, which says one thing of it after the other, each until it is
acknowledged, with times of its own. So a copy that arrives late changes nothing: it has an id that is known, or a time
that has passed. Two cases are left out, as they would let a late copy decide: who was reported without an answer is not
erased any more, and of whom an erasure had no answer nothing more is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.drafts import Draft
from tests.chaos.life import Life


@dataclass(slots=True, eq=False)
class Person:
    """A contact that is told of.

    Attributes:
        id: the contact's, once it was answered.
        position: of what was acknowledged last.
        mails: what was reported with an id, also before an erasure.
        late_reports: whether a copy of a report may still arrive.
        is_closed: whether nothing more is said.
        is_undecided: whether something was given up before it was acknowledged.
    """

    project: int
    email: str
    clock_ms: int
    id: str = ""
    life: Life = field(default_factory=Life)
    position: str = ""
    mails: list[Draft] = field(default_factory=list)
    late_reports: bool = False
    is_closed: bool = False
    is_undecided: bool = False
    _early_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self._early_ms = self.clock_ms

    def later(self, step_ms: int) -> int:
        """A time after all that was said."""
        self.clock_ms += step_ms
        return self.clock_ms

    def earlier(self, step_ms: int) -> int:
        """A time before all that was said."""
        self._early_ms -= step_ms
        return self._early_ms

    def contact(self) -> dict[str, Any] | None:
        """As reads must show it; None where it must not be there."""
        return {"id": self.id, "email": self.email} | self.life.contact() if self.life.has_begun else None


class People:
    """All contacts of a run, by project and address."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, str], Person] = {}
        self._sent: set[tuple[int, str]] = set()
        self._acknowledged: set[tuple[int, str]] = set()

    def add(self, person: Person) -> None:
        """One that is told of from now on."""
        self._told[person.project, person.email] = person

    def note_sent(self, project: int, email: str) -> None:
        """An event of anybody is about to be sent."""
        self._sent.add((project, email.lower()))

    def note_acknowledged(self, project: int, email: str) -> None:
        """An event of anybody was acknowledged."""
        self._acknowledged.add((project, email.lower()))

    def find(self, project: int, email: str) -> Person | None:
        """The one that is told of under the address."""
        return self._told.get((project, email))

    def told(self, project: int) -> Iterator[Person]:
        """Those of a project that are told of."""
        return (person for (owner, _), person in self._told.items() if owner == project)

    def may_be_there(self, project: int, email: str) -> bool:
        """Whether anything was sent of the address."""
        return (project, email) in self._sent

    def others(self, project: int) -> Iterator[str]:
        """The addresses of those who must be there, without those that are told of."""
        return (email for owner, email in self._acknowledged - self._told.keys() if owner == project)
