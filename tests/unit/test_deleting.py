"""A deletion after its marker is durable: it happens, so whatever goes wrong behind that is no error."""

import asyncio
import time
from typing import Any, cast

import pytest
import structlog

from penstock.errors import LogUnavailable, NotYetVisible, TablesRefused, TablesUnavailable, Unavailable
from query_api import deleting
from query_api.deleting import Deleted, Deleter
from query_api.freshness import Freshness
from query_api.reader import Reader
from schemas.position import Position
from tests.support.control import InstantControl
from tests.support.requests import FrozenClock


class Parts:
    """The log, the view and the tables, each of which does what it is told."""

    def __init__(self, *, mark: Any = None, wait: Any = None, count: Any = 3) -> None:
        self._mark, self._wait, self._count = mark, wait, count

    async def mark(self, record: bytes, accepted_ms: int) -> Position:
        await _done(self._mark)
        return {0: 7}

    async def wait_for(self, position: Position, timeout_seconds: float) -> None:
        assert position == {0: 7}
        await _done(self._wait)

    async def run(self, project_id: str, work: Any) -> list[list[object]]:
        return [[await _done(self._count)]]


async def _done(what: Any) -> Any:
    if isinstance(what, Exception):
        raise what
    if isinstance(what, float):
        await asyncio.sleep(what)
    return what


def delete(parts: Parts) -> Deleted:
    deleter = Deleter(
        cast(Any, parts),
        InstantControl().registrar(),
        reader=cast(Reader, parts),
        freshness=cast(Freshness, parts),
        clock=FrozenClock(),
    )
    with structlog.testing.capture_logs():
        return asyncio.run(deleter.delete("00000000-0000-4000-8000-000000000001", "signup"))


def test_what_was_deleted_is_counted() -> None:
    assert delete(Parts()) == Deleted(3, {0: 7})


@pytest.mark.parametrize(
    "failing",
    [
        {"wait": NotYetVisible("not yet")},
        {"count": TablesUnavailable("away")},
        {"count": Unavailable("Too many reads at once")},
        {"count": TablesRefused("no such column", 47)},
    ],
    ids=["not visible", "tables away", "too many reads", "refused"],
)
def test_a_deletion_that_is_durable_and_cannot_be_counted_is_pending(failing: dict[str, Any]) -> None:
    assert delete(Parts(**failing)) == Deleted(None, {0: 7})


def test_waiting_and_counting_share_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "CONFIRMED_SECONDS", 0.3)
    started = time.monotonic()
    assert delete(Parts(wait=0.2, count=60.0)).events is None
    assert time.monotonic() - started < 20


def test_a_deletion_that_the_log_did_not_take_is_an_error() -> None:
    with pytest.raises(LogUnavailable):
        delete(Parts(mark=LogUnavailable("full")))
