"""Sends what is due, to all endpoints side by side, and remembers what is to be sent later. Belongs to an event loop.

What is known here is what the tables have: it is loaded where a partition is taken over, added to as events come, and
looked up again where more is open than is remembered, or somebody asks for a delivery again.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import msgspec

from consumers.webhooks.endpoints import Endpoints
from consumers.webhooks.journal import Journal
from consumers.webhooks.outcomes import Begun, begun, ended, given_up, live_secrets, obstacle
from consumers.webhooks.payload import event_of, payload
from consumers.webhooks.place import Workplace
from consumers.webhooks.planning import Due
from consumers.webhooks.schedule import HTTP_GONE
from consumers.webhooks.sending import Answer, Sender
from consumers.webhooks.signing import signed_headers
from penstock.deliveries import DEAD, DELIVERED, Delivery, insert_rows, open_deliveries, requested_deliveries
from penstock.settings import Webhooks
from schemas.registry import Workflow, WorkflowState, encode_registered, registry_key
from schemas.times import to_wire
from schemas.topics import Topic

_REMEMBERED = 100_000
"""So many deliveries are known at a time."""

_QUEUED = 2_000
"""So many of one workflow wait for its endpoint; the others are looked at again soon."""

_LOOK_SECONDS = 1.0
_AGAIN_MS = 1000
_DISABLED_MS = 5000
_REQUESTED_MS = 60_000
"""So long ago somebody may have asked for a delivery that is noticed only now."""

_USER_AGENT = f"penstock/{version('penstock')}"

InThread = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class _Known:
    """The deliveries that are to be tried, by id, and when; those that are under way are in `busy`.

    Attributes:
        finished: the versions of those that were finished last: the tables may not have them yet.
    """

    deliveries: dict[str, Delivery] = field(default_factory=dict)
    events: dict[str, Sequence[object]] = field(default_factory=dict)
    times: list[tuple[int, str]] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    finished: dict[str, int] = field(default_factory=dict)
    is_part: bool = False

    def add(self, delivery: Delivery, at_ms: int) -> None:
        """Remembers it, unless too many are."""
        if len(self.deliveries) >= _REMEMBERED and delivery.id not in self.deliveries:
            self.is_part = True
            return
        self.deliveries[delivery.id] = delivery
        heapq.heappush(self.times, (at_ms, delivery.id))

    def forget(self, delivery_id: str) -> None:
        """It is done, or another's."""
        self.deliveries.pop(delivery_id, None)
        self.events.pop(delivery_id, None)

    def finish(self, delivery: Delivery) -> None:
        """It is not to be tried any more."""
        self.forget(delivery.id)
        self.finished[delivery.id] = delivery.version
        if len(self.finished) > _REMEMBERED:
            del self.finished[next(iter(self.finished))]

    def is_news(self, delivery: Delivery) -> bool:
        """Whether what the tables have of it is newer than what is known here."""
        if delivery.id in self.busy:
            return False
        known = self.deliveries.get(delivery.id)
        version = self.finished.get(delivery.id, 0) if known is None else known.version
        return version < delivery.version

    def due(self, now_ms: int) -> list[str]:
        """Takes out what is due; whoever takes it adds it again, or forgets it."""
        found = []
        while self.times and self.times[0][0] <= now_ms:
            _, delivery_id = heapq.heappop(self.times)
            if delivery_id in self.deliveries and delivery_id not in self.busy:
                self.busy.add(delivery_id)
                found.append(delivery_id)
        return found


class Dispatcher:
    """See the module.

    Args:
        in_thread: runs what blocks.
    """

    def __init__(self, place: Workplace, settings: Webhooks, sender: Sender, in_thread: InThread) -> None:
        self._place = place
        self._sender = sender
        self._in_thread = in_thread
        self._known = _Known()
        self._owned: frozenset[int] = frozenset()
        self._journal = Journal(lambda: place.generations.shared, in_thread)
        self._endpoints: Endpoints[str] = Endpoints(
            self._deliver, in_all=settings.max_connections, per_endpoint=settings.per_endpoint, queued=_QUEUED
        )
        self._said: dict[str, WorkflowState] = {}

    @property
    def journal(self) -> Journal:
        """To be run beside."""
        return self._journal

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way, or waits for its endpoint."""
        return bool(self._known.busy)

    # --- what is to be sent

    def take(self, due: Sequence[Due]) -> None:
        """Takes what was planned; it is in the tables."""
        for one in due:
            if one.delivery.id not in self._known.deliveries:
                self._known.add(one.delivery, one.delivery.next_attempt_ms)
                if one.delivery.id in self._known.deliveries:
                    self._known.events[one.delivery.id] = one.event
        self.offer()

    async def look(self) -> None:
        """Sees to partitions that come and go, to what was asked for, and to what is not remembered.

        Raises:
            TablesUnavailable: look again.
        """
        if not self._place.registry.all_workflows():
            return  # a product without any asks nothing, every second; once there is one, all is looked at
        owned = frozenset(self._place.stored.through())
        for lost in [one.id for one in self._known.deliveries.values() if one.log_partition not in owned]:
            self._known.forget(lost)
        await self._load(owned - self._owned)
        self._owned = owned
        if self._known.is_part and len(self._known.deliveries) < _REMEMBERED // 2:
            self._known.is_part = False
            await self._load(owned)
        since_ms = self._place.clock.now_ms() - _REQUESTED_MS
        shared = self._place.generations.shared
        requested = await self._in_thread(requested_deliveries, shared, owned, since_ms, _REMEMBERED)
        self._known.is_part |= len(requested) >= _REMEMBERED
        self._add_news(requested)
        self._place.metrics.webhooks_open.set(len(self._known.deliveries))
        self.offer()

    async def _load(self, partitions: Collection[int]) -> None:
        if not partitions:
            return
        room = _REMEMBERED - len(self._known.deliveries)
        now_ms, shared = self._place.clock.now_ms(), self._place.generations.shared
        found = await self._in_thread(open_deliveries, shared, partitions, now_ms, room)
        self._known.is_part |= len(found) >= room
        self._add_news(found)

    def _add_news(self, found: Sequence[Delivery]) -> None:
        for one in found:
            if self._known.is_news(one):
                self._known.add(one, one.next_attempt_ms)

    def offer(self) -> None:
        """Hands what is due to the endpoints."""
        now_ms = self._place.clock.now_ms()
        for delivery_id in self._known.due(now_ms):
            delivery = self._known.deliveries[delivery_id]
            if not self._endpoints.offer(delivery.workflow_id, delivery_id, has_failed=delivery.attempts > 0):
                self._put_back(delivery, now_ms + _AGAIN_MS)

    def _put_back(self, delivery: Delivery, at_ms: int) -> None:
        self._known.busy.discard(delivery.id)
        self._known.add(delivery, at_ms)

    # --- one delivery

    async def _deliver(self, delivery_id: str) -> bool:
        """Whether the endpoint answered, if it was asked at all."""
        delivery = self._known.deliveries.get(delivery_id)
        if delivery is None or delivery.log_partition not in self._place.stored.through():
            self._known.busy.discard(delivery_id)
            self._known.forget(delivery_id)
            return True
        try:
            return await self._try(delivery)
        except msgspec.MsgspecError:
            raise
        except Exception:
            self._put_back(delivery, self._place.clock.now_ms() + _DISABLED_MS)
            raise

    async def _try(self, delivery: Delivery) -> bool:
        registry, now_ms = self._place.registry, self._place.clock.now_ms()
        reason = obstacle(registry, delivery, now_ms)
        if reason is not None:
            await self._give_up(delivery, reason)
            return True
        workflow = registry.workflow(delivery.project_id, delivery.workflow_id)
        if workflow is None or not workflow.enabled:
            self._put_back(delivery, now_ms + _DISABLED_MS)
            return True
        event = self._known.events.get(delivery.id) or await self._event(delivery)
        if event is None:
            await self._give_up(delivery, "The event was deleted")
            return True
        return await self._attempt(delivery, workflow, payload(event))

    async def _event(self, delivery: Delivery) -> Sequence[object] | None:
        live = await self._in_thread(self._place.generations.live)
        found: Sequence[object] | None = await self._in_thread(event_of, live.tables, delivery)
        return found

    async def _attempt(self, delivery: Delivery, workflow: Workflow, body: bytes) -> bool:
        one = begun(delivery, self._place.clock.now_ms())
        await self._journal.note(None, one.attempt)
        answer = await self._send(one, workflow, body)
        now_ms = self._place.clock.now_ms()
        one = ended(one, answer, now_ms, random.random())  # noqa: S311 - spreads retries, guards nothing
        self._journal.note(one.delivery, one.attempt)
        self._measure(one, now_ms)
        self._settle(one.delivery)
        await self._say(workflow, one.delivery)
        return answer.status_code is not None

    async def _send(self, one: Begun, workflow: Workflow, body: bytes) -> Answer:
        at_ms = one.attempt.at_ms
        secrets = live_secrets(workflow, to_wire(at_ms))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            **workflow.headers,
            **signed_headers(secrets, one.delivery.event_id, at_ms // 1000, body),
        }
        return await self._sender.send(workflow.url, body, headers)

    def _measure(self, one: Begun, now_ms: int) -> None:
        self._place.metrics.webhook_attempts.labels(one.delivery.status).inc()
        if one.delivery.status == DELIVERED and one.delivery.attempts == 1:
            self._place.metrics.webhook_seconds.observe(max(0, now_ms - one.delivery.created_ms) / 1000)

    def _settle(self, delivery: Delivery) -> None:
        self._known.busy.discard(delivery.id)
        if delivery.status in (DELIVERED, DEAD):
            self._known.finish(delivery)
        else:
            self._known.events.pop(delivery.id, None)  # it is looked up again: it may be deleted by then
            self._known.add(delivery, delivery.next_attempt_ms)

    async def _give_up(self, delivery: Delivery, reason: str) -> None:
        dead = given_up(delivery, reason)
        await self._in_thread(insert_rows, self._place.generations.shared, [dead])
        self._settle(dead)

    async def _say(self, workflow: Workflow, delivery: Delivery) -> None:
        """Lets everybody know of a change of how the workflow fares."""
        before = self._said.get(workflow.id, self._place.registry.state_of(workflow))
        if before.updated_at != workflow.updated_at:
            before = self._place.registry.state_of(workflow)
        state = before
        if delivery.status == DEAD:
            gone = before.gone or delivery.last_status_code == HTTP_GONE
            state = WorkflowState(workflow.id, workflow.updated_at, failing=True, gone=gone)
        elif delivery.status == DELIVERED and before.failing:
            state = WorkflowState(workflow.id, workflow.updated_at, gone=before.gone)
        if state != before:
            self._said[workflow.id] = state
            publish = self._place.log.publish
            await self._in_thread(publish, Topic.CONTROL, registry_key(state), encode_registered(state))

    async def close(self, seconds: float) -> None:
        """Begins no more, waits so long for what is under way, and writes what became of it."""
        await self._endpoints.close(seconds)
        await self._journal.flush()


async def look_again_and_again(dispatcher: Dispatcher, failed: Callable[[Exception], None]) -> None:
    """Looks until it is cancelled; `failed` is told where that was not possible."""
    while True:
        try:
            await dispatcher.look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
            failed(error)
        await asyncio.sleep(_LOOK_SECONDS)
