"""Any order of writes, retries, deletions, crashes, restarts and rebuilds: every read shows each event once, as sent first."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.support.in_process import InProcess, PausedWriter

NAMES = ["signup", "注文", " padded ", "purchase"]
EMAILS = ["ada@example.com", "Ada@Example.com", "bob@example.com", "eve@example.com"]
KEYS = ["a", "b", "c:0", "c:1"]

bodies = st.fixed_dictionaries({"event": st.sampled_from(NAMES), "email": st.sampled_from(EMAILS)})
keys = st.none() | st.sampled_from(KEYS)
sizes = st.sampled_from([3, 50_000])
events = st.lists(st.tuples(bodies, keys), min_size=1, max_size=6)
statements = st.integers(0, 12) | st.integers(4, 7)  # more often about the first insert


class Model:
    """What must be read: events by id, and the ids that were given for keys."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.deleted: set[str] = set()

    def acknowledge(self, body: dict[str, Any], key: str | None, event_id: str) -> None:
        """The first event of a person and a key counts, with its own name and data."""
        known = event_id if key is None else self.keys.setdefault((body["email"].lower(), key), event_id)
        assert known == event_id
        assert (event_id in self.events) <= (key is not None)
        if event_id not in self.deleted:
            self.events.setdefault(event_id, body)

    def delete(self, name: str) -> None:
        """Events of the name are gone for good; what comes later counts anew, retries of them not at all."""
        gone = {event_id for event_id, body in self.events.items() if body["event"] == name}
        self.deleted |= gone
        self.events = {event_id: body for event_id, body in self.events.items() if event_id not in gone}

    def rows(self) -> dict[str, tuple[str, str, int]]:
        """By id, what a row shows."""
        return {id_: (one["event"], one["email"].lower(), one["data"]["number"]) for id_, one in self.events.items()}


class EmbeddedForm(RuleBasedStateMachine):
    """One product in this process, and the model of what it must say. Each rule is one thing that happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="penstock-machine-")
        self.product = InProcess(Path(self.directory.name))
        self.model = Model()
        self.paused: list[PausedWriter] = []
        self.sent = 0

    def teardown(self) -> None:
        try:
            self.look(7)
        finally:
            self.product.close()
            self.directory.cleanup()

    def numbered(self, body: dict[str, Any]) -> dict[str, Any]:
        self.sent += 1
        return {**body, "data": {"number": self.sent}}

    # --- writes

    @rule(body=bodies, key=keys)
    def track(self, body: dict[str, Any], key: str | None) -> None:
        sent = self.numbered(body)
        self.model.acknowledge(sent, key, self.product.post("/v1/track", sent, key=key)["event"])

    @rule(items=events, header=st.none() | st.just("c"))
    def batch(self, items: list[tuple[dict[str, Any], str | None]], header: str | None = None) -> None:
        sent = [(self.numbered(body), key) for body, key in items]
        payload = [body if key is None else {**body, "idempotencyKey": key} for body, key in sent]
        results = self.product.post("/v1/track/batch", payload, key=header)["results"]
        for index, ((body, key), result) in enumerate(zip(sent, results, strict=True)):
            default = None if header is None else f"{header}:{index}"
            self.model.acknowledge(body, default if key is None else key, result["event"])

    @precondition(lambda self: self.model.keys)
    @rule(body=bodies, data=st.data())
    def retry(self, body: dict[str, Any], data: st.DataObject) -> None:
        email, key = data.draw(st.sampled_from(sorted(self.model.keys)))
        self.track({**body, "email": email}, key)

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        self.product.delete(name)
        self.model.delete(name)

    # --- what happens to the writer and the log

    @rule(max_rows=sizes)
    def write(self, max_rows: int) -> None:
        self.product.write(max_rows)

    @rule(items=events, at=statements, after=st.booleans(), max_rows=sizes)
    def crash(self, items: list[tuple[dict[str, Any], str | None]], at: int, after: bool, max_rows: int) -> None:
        self.batch(items)
        self.product.crash(at, after=after, max_rows=max_rows)

    @rule(max_rows=sizes)
    def pause_writer(self, max_rows: int) -> None:
        self.paused.append(self.product.pause(max_rows))

    @precondition(lambda self: self.paused)
    @rule()
    def wake_writer(self) -> None:
        self.product.wake(self.paused.pop(0))

    @rule()
    def restart(self) -> None:
        self.paused.clear()
        self.product.restart()

    @rule()
    def rebuild(self) -> None:
        self.product.rebuild()

    @rule(at=st.integers(0, 150), after=st.booleans())
    def crash_rebuild(self, at: int, after: bool) -> None:
        self.product.crash_rebuild(at, after=after)

    # --- reads

    @rule(limit=st.sampled_from([4, 1000]))
    def look(self, limit: int) -> None:
        self.product.write()
        rows = list(self.product.listed(limit=limit))
        expected = self.model.rows()
        assert sorted(row["id"] for row in rows) == sorted(expected)
        assert {row["id"]: shown(row) for row in rows} == expected
        self.look_at_sums(Counter(name for name, _, _ in expected.values()))
        self.look_at_parts(rows)

    def look_at_sums(self, counts: Counter[str]) -> None:
        names = sorted(counts, key=lambda name: (-counts[name], name))
        assert self.product.get("/events/names") == {"eventNames": names}
        assert self.product.get("/events/stats") == [{"name": name, "count": counts[name]} for name in names]
        days = self.product.get("/events/stats", interval="day")
        assert {row["name"]: sum(bucket["count"] for bucket in row["buckets"]) for row in days} == counts

    def look_at_parts(self, rows: list[dict[str, Any]]) -> None:
        for name in {row["name"] for row in rows}:
            found = [row["id"] for row in self.product.listed(eventName=name)]
            assert found == [row["id"] for row in rows if row["name"] == name]
        for contact in {row["contactId"] for row in rows}:
            found = [row["id"] for row in self.product.listed(f"/events/contact/{contact}")]
            assert found == [row["id"] for row in rows if row["contactId"] == contact]


def shown(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["name"], row["contact"]["email"], row["data"]["number"]


IS_THOROUGH = settings().max_examples > 1000  # --hypothesis-profile=thorough
EmbeddedForm.TestCase.settings = settings(
    max_examples=300 if IS_THOROUGH else 2,
    stateful_step_count=40 if IS_THOROUGH else 20,
    derandomize=not IS_THOROUGH,
)
TestEmbeddedForm = EmbeddedForm.TestCase
pytestmark = pytest.mark.timeout(900)  # a failure is shrunk before it is told, which takes minutes
