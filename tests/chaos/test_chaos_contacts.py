"""Contacts in the fault suite: what follows from what was said of them, and that each wrong read of them is told."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from tests.chaos.contacts import Contacts, Row
from tests.chaos.drafts import wire_time
from tests.chaos.erasing import erase, look
from tests.chaos.life import Life
from tests.chaos.listed import Listed
from tests.chaos.people import Person
from tests.chaos.posting import Answer
from tests.chaos.reads import Reads
from tests.chaos.scene import Scene
from tests.chaos.telling import Telling
from tests.chaos.writing import Writing
from tests.support.deployments import Project

FIRST_MS = 1_795_417_200_123
ADA = str(UUID(int=1))
BOB = str(UUID(int=2))
CAUSED = str(UUID(int=3))
SUBSCRIBED, UNSUBSCRIBED = "contact.subscribed", "contact.unsubscribed"

Say = Callable[[Life], None]


def tracked(at_ms: int, subscribed: bool | None = None, **data: Any) -> Say:
    return lambda life: life.track(0, at_ms, data, subscribed)


def complained(at_ms: int) -> Say:
    return lambda life: life.report_mail(0, at_ms, "complaint")


def reported(at_ms: int, subscribed: bool) -> Say:
    return lambda life: life.report(at_ms, subscribed, None, None)


@pytest.mark.parametrize(
    ("said", "subscribed", "emitted"),
    [
        ([tracked(5)], True, []),
        ([tracked(5, False)], False, []),
        ([tracked(5), tracked(6, False)], False, [UNSUBSCRIBED]),
        ([tracked(5, False), tracked(6, True)], True, [SUBSCRIBED]),
        ([tracked(5, False), tracked(6, False)], False, []),
        ([tracked(5, True), tracked(4, False)], True, []),
        ([tracked(5), tracked(4, False)], False, [UNSUBSCRIBED]),
        ([complained(5)], False, [UNSUBSCRIBED]),
        ([complained(5), complained(6)], False, [UNSUBSCRIBED]),
        ([reported(5, True), reported(6, False), reported(7, True)], True, [UNSUBSCRIBED, SUBSCRIBED]),
        ([lambda life: life.report_mail(0, 5, None)], True, []),
    ],
)
def test_the_last_word_counts_and_each_change_emits(said: list[Say], subscribed: bool, emitted: list[str]) -> None:
    life = Life()
    for say in said:
        say(life)
    assert life.contact()["subscribed"] is subscribed
    assert [one.name for one in life.emitted] == emitted


def test_of_each_key_the_last_value_counts_and_null_deletes() -> None:
    life = Life()
    for say in (tracked(5, a=1, b=1), tracked(7, b=None), tracked(6, a=2, b=2), complained(8)):
        say(life)
    times = {"createdAt": wire_time(5), "updatedAt": wire_time(8)}
    assert life.contact() == {"subscribed": False, "data": {"a": 2}, **times}


def test_a_report_that_says_nothing_of_the_subscription_updates_nothing() -> None:
    life = Life()
    life.report_mail(0, 5, None)
    assert life.contact() == {"subscribed": True, "data": {}, "createdAt": wire_time(5), "updatedAt": wire_time(5)}
    for say in (tracked(7, a=1), lambda life: life.report_mail(0, 9, None), reported(6, True)):
        say(life)
    assert (life.contact()["createdAt"], life.contact()["updatedAt"]) == (wire_time(5), wire_time(7))


# --- the comparison at the end


class World:
    """Ada, who is told of and unsubscribed, and Bob, of whom there is one event; and what right reads say of them.

    Attributes:
        single, filtered: what the reads of one contact and of those that are not subscribed say, where that is wrong.
    """

    def __init__(self) -> None:
        self.scene = Scene([Project("p", "pk", "sk")], ["http://ingest"], "http://query", rate=1000, workers=1)
        self.ada = Person(0, "told-ada@example.com", FIRST_MS, id=ADA)
        self.scene.people.add(self.ada)
        self.ada.life.track(self._acknowledged(ADA), FIRST_MS, {"who": self.ada.email}, None)
        self.ada.life.report(FIRST_MS + 1, False, {"reason": "asked"}, CAUSED)
        self.scene.people.note_sent(0, "Bob@example.com")
        self.scene.people.note_acknowledged(0, "Bob@example.com")
        marker = self._acknowledged(BOB)
        self.data = {"marker": marker, "who": "bob@example.com"}
        bob = self._row("signup", BOB, "bob@example.com", FIRST_MS, self.data)
        self.change = self._row(UNSUBSCRIBED, ADA, self.ada.email, FIRST_MS + 1, {"reason": "asked"})
        self.change["id"] = CAUSED
        self.events = [self.change, bob]
        self.contacts: list[Row] = [self._contact_of_bob(), dict(self.ada.contact() or {})]
        self.single: Row | None = None
        self.filtered: list[Row] | None = None

    def _acknowledged(self, event_id: str) -> int:
        marker = self.scene.ledger.draw(0, "signup", 1.0)
        self.scene.ledger.acknowledge(marker, event_id, 2.0)
        return marker

    def _row(self, name: str, contact: str, email: str, at_ms: int, data: Any) -> Row:
        about = {"contactId": contact, "contact": {"email": email}}
        return {"id": contact, "name": name, "createdAt": wire_time(at_ms), "data": data, **about}

    def _contact_of_bob(self) -> Row:
        times = {"createdAt": wire_time(FIRST_MS), "updatedAt": wire_time(FIRST_MS)}
        return {"id": BOB, "email": "bob@example.com", "subscribed": True, "data": self.data, **times}

    def complained(self) -> set[str]:
        scene, listed = self.scene, Listed()
        for row in self.events:
            listed.add(row, FIRST_MS)
        compared = Contacts(0, scene.people, scene.ledger, scene.deletions, scene.complaints)
        found = compared.list_all(self.contacts, listed)
        compared.sample(Answers(self), found, Random(0))
        return set(scene.complaints.counts)

    def forget_ada(self) -> None:
        self.ada.life = Life()
        self.events.remove(self.change)
        del self.contacts[1]


class Answers(Reads):
    """A world's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def contacts(self, **parameters: Any) -> Iterator[Row]:
        world = self._world
        if "subscribed" in parameters and world.filtered is not None:
            return iter(world.filtered)
        chosen = [row for row in world.contacts if not (row["subscribed"] and "subscribed" in parameters)]
        return (row for row in chosen if row["email"].startswith(parameters.get("search", "").lower()))

    def find(self, path: str) -> Row | None:
        world = self._world
        found = next((row for row in world.contacts if path == f"/contacts/{row['id']}"), None)
        return found if world.single is None else world.single


def test_nothing_is_wrong_with_right_contacts() -> None:
    assert World().complained() == set()


def test_who_was_erased_is_not_there() -> None:
    world = World()
    world.forget_ada()
    assert world.complained() == set()


def test_of_who_is_undecided_nothing_is_expected() -> None:
    world = World()
    world.forget_ada()
    world.ada.life.track(9, FIRST_MS, {}, None)
    world.ada.is_undecided = True
    assert world.complained() == set()


def test_data_of_an_event_that_was_deleted_by_its_name_still_counts() -> None:
    world = World()
    del world.events[1]
    world.scene.deletions.begin((0, "signup"), 3.0).answered = 4.0
    assert world.complained() == set()


def unsubscribe_bob(world: World) -> None:
    world.contacts[0]["subscribed"] = False


def keep_ada(world: World) -> None:
    world.ada.life = Life()
    world.events.remove(world.change)


def erase_ada_halfway(world: World) -> None:
    world.ada.life = Life()
    del world.contacts[1]


def not_only_once(world: World) -> None:
    world.events.insert(0, {**world.change, "id": str(UUID(int=9))})


def another_id(world: World) -> None:
    world.change["id"] = str(UUID(int=9))


def of_bob(world: World) -> None:
    world.events.insert(0, {**world.change, "contactId": BOB, "contact": {"email": "bob@example.com"}})


def outdated(world: World) -> None:
    world.scene.ledger.draw(0, "signup", 3.0)
    world.scene.ledger.acknowledge(2, str(UUID(int=9)), 4.0)
    world.contacts[0]["data"] = world.data | {"marker": 2}


BREAKS: dict[str, tuple[str, Callable[[World], object]]] = {
    "a contact is twice in the list": ("order of the contacts", lambda w: w.contacts.append(w.contacts[1])),
    "the list has another order": ("order of the contacts", lambda w: w.contacts.reverse()),
    "one is missing": ("missing contact", lambda w: w.contacts.pop(0)),
    "one that is told of is missing": ("contact differs", lambda w: w.contacts.pop(1)),
    "one that is told of has another state": ("contact differs", lambda w: w.contacts[1].update(subscribed=True)),
    "one that is told of has other data": ("contact differs", lambda w: w.contacts[1].update(data={})),
    "one is still there": ("contact differs", keep_ada),
    "one that nobody knows": ("unknown contact", lambda w: w.contacts.append({**w.contacts[0], "email": "x@x.org"})),
    "one is unsubscribed by nobody": ("contact differs", unsubscribe_bob),
    "one has the data of another event": ("contact differs", outdated),
    "one has another id": ("contact differs", lambda w: w.contacts[0].update(id=CAUSED)),
    "one began too late": ("contact differs", lambda w: w.contacts[0].update(createdAt=wire_time(FIRST_MS + 1))),
    "nothing was emitted": ("emitted events differ", lambda w: w.events.remove(w.change)),
    "it was emitted twice": ("emitted events differ", not_only_once),
    "it has another id": ("emitted events differ", another_id),
    "it has another reason": ("emitted events differ", lambda w: w.change.update(data=None)),
    "it was emitted at another time": ("emitted events differ", lambda w: w.change.update(createdAt=wire_time(7))),
    "it is of somebody else": ("emitted events differ", of_bob),
    "it outlived its contact": ("emitted events differ", erase_ada_halfway),
    "the single contact differs": ("reads of contacts differ", lambda w: setattr(w, "single", {})),
    "the filtered list differs": ("reads of contacts differ", lambda w: setattr(w, "filtered", [])),
}


@pytest.mark.parametrize("wrong", BREAKS)
def test_each_wrong_read_is_told(wrong: str) -> None:
    kind, spoil = BREAKS[wrong]
    world = World()
    spoil(world)
    assert kind in world.complained()


# --- under load


def answer(status: int, body: Any = None) -> Answer:
    return Answer(status, msgspec.json.encode(body), httpx.Headers({"X-Position": "p"}))


HEARD = answer(200, {"data": {"contact": ADA, "event": BOB}})


class Product:
    """Answers in the place of a product, one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, world: World, *answers: Answer | None) -> None:
        self.asked: list[tuple[str, bytes | None]] = []
        self.answers = list(answers)
        monkeypatch.setattr(world.scene.requests, "_http", self)

    async def request(self, method: str, _url: str, **more: Any) -> httpx.Response:
        self.asked.append((method, more["content"]))
        found = self.answers.pop(0)
        if found is None:
            raise httpx.ReadError("killed")
        return httpx.Response(found.status, content=found.content, headers=found.headers)


def told(world: World) -> Telling:
    return Telling(0, world.scene, Random(0), Writing(world.scene, Random(0)), FIRST_MS)


@pytest.mark.anyio
async def test_an_erasure_ends_the_life_and_its_events_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    markers = list(world.ada.life.markers)
    product = Product(monkeypatch, world, answer(204), answer(404), answer(200, {"events": []}))
    await erase(world.scene, world.ada)
    assert [method for method, _ in product.asked] == ["DELETE", "GET", "GET"]
    assert (world.ada.contact(), world.ada.is_closed) == (None, False)
    assert {world.scene.deletions.expected(marker).value for marker in markers} == {"gone"}
    assert not world.scene.complaints


@pytest.mark.anyio
async def test_what_is_left_right_after_an_erasure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    Product(monkeypatch, world, answer(204), answer(200, world.ada.contact()), answer(200, {"events": [world.change]}))
    await erase(world.scene, world.ada)
    assert set(world.scene.complaints.counts) == {"contact differs right after", "erased event listed"}


@pytest.mark.anyio
async def test_after_an_erasure_without_an_answer_nothing_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    Product(monkeypatch, world, None, answer(404), answer(404), answer(200, {"events": []}))
    await erase(world.scene, world.ada)
    assert (world.ada.contact(), world.ada.is_closed) == (None, True)
    assert not world.scene.complaints


@pytest.mark.anyio
async def test_who_is_known_must_be_found_by_an_erasure(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    Product(monkeypatch, world, answer(404), answer(202))
    await erase(world.scene, world.ada)
    assert set(world.scene.complaints.counts) == {"unexpected answer"}


@pytest.mark.anyio
async def test_a_contact_that_is_not_what_was_said_right_after_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    Product(monkeypatch, world, answer(200, world.ada.contact()), answer(404))
    await look(world.scene, world.ada)
    assert not world.scene.complaints
    await look(world.scene, world.ada)
    assert set(world.scene.complaints.counts) == {"contact differs right after"}


@pytest.mark.anyio
async def test_who_was_reported_without_an_answer_is_not_erased_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    product = Product(monkeypatch, world)
    telling, life = told(world), world.ada.life
    while len(life.emitted) == 1:  # until it is another word than the last
        product.answers = [None, HEARD]
        await telling.report(world.ada)
    assert product.asked[-1] == product.asked[-2], "the same body, with the same time"
    assert life.emitted[1].id is None
    await telling.erase(world.ada)
    assert {method for method, _ in product.asked} == {"POST"}
    assert world.ada.is_closed


@pytest.mark.anyio
async def test_a_report_that_was_answered_at_once_says_which_event_it_emits(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    product = Product(monkeypatch, world)
    telling, life = told(world), world.ada.life
    while len(life.emitted) == 1:
        product.answers = [HEARD]
        await telling.report(world.ada)
    assert (life.emitted[1].name, life.emitted[1].id) == (SUBSCRIBED, BOB)


@pytest.mark.anyio
async def test_a_mail_that_is_reported_again_has_other_data_and_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    product, telling = Product(monkeypatch, world, HEARD, HEARD), told(world)
    await telling.report_mail(world.ada)
    before = repr(world.ada.life)
    await telling.report_mail_again(world.ada)
    first, again = (msgspec.json.decode(content) for _, content in product.asked if content)
    assert (first["id"], first["event"], first["timestamp"]) == (again["id"], again["event"], again["timestamp"])
    assert again["data"]["late"]
    assert repr(world.ada.life) == before


@pytest.mark.anyio
async def test_another_contact_in_an_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    Product(monkeypatch, world, answer(200, {"data": {"contact": BOB, "event": BOB}}))
    await told(world).track(world.ada)
    assert set(world.scene.complaints.counts) == {"another contact"}
