"""A member of Kafka's consumer group, through faust-streaming. The only module that imports faust.

faust joins the consumer group, keeps the partitions balanced between processes and fetches. Its `noack_take` hands over
records without acknowledging them; that is for who has stored them. (Its plain `take` acknowledges what a handler that
failed had not stored.) The agent only puts them into an inbox.

`stream_wait_empty` is off: a rebalance would wait, beyond the group's patience, for a batch that waits for ClickHouse.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import faust
import structlog
from faust.types import TP

from consumers.inbox import Inbox
from consumers.sink import LogEnds
from penstock.errors import LogUnavailable
from penstock.eventlog import StoredRecord
from penstock.settings import Kafka, Writer
from schemas.topics import Topic

_TAKE_RECORDS = 500
"""Records that faust holds, twice over: a record has up to half a megabyte, and faust counts no bytes."""

_TAKE_SECONDS = 0.02

_SESSION_SECONDS = 10
"""After so long without a sign of life the group gives a consumer's partitions to others."""

_ANSWER_SECONDS = 10
_STOP_SECONDS = 4

_QUIET_SECONDS = 10 * 365 * 86_400.0
"""faust's own watch only logs, and takes a wait for ClickHouse for a fault; this switches it off."""

_log = structlog.get_logger(__name__)

Fetched = Any
"""A record as faust hands it over: `record_of` reads it, its `ack()` says that it need not come again."""


class FaustMember:
    """One faust, from joining the group to leaving it. Belongs to the event loop.

    Args:
        inbox: gets what is fetched.
        on_revoked: awaited when the group is about to give the partitions out anew, all of them.
    """

    def __init__(
        self, kafka: Kafka, settings: Writer, *, inbox: Inbox[Fetched], on_revoked: Callable[..., Awaitable[None]]
    ) -> None:
        self._topic = f"{kafka.topic_prefix}.{Topic.EVENTS}"
        self._app: Any = _make_app(kafka, settings)  # faust has no types that mypy could see
        topic = self._app.topic(self._topic, key_type=bytes, value_type=bytes, value_serializer="raw")
        self._app.agent(topic, name="writer")(_receiver(inbox))
        self._app.on_partitions_revoked.connect(on_revoked)
        self._starting: asyncio.Task[None] | None = None

    def join(self) -> None:
        """Begins to."""
        self._starting = asyncio.create_task(self._app.start())

    async def leave(self) -> bool:
        """Whether faust ended in time. One that did not stays behind with its threads: then the process must end."""
        ending = asyncio.create_task(self._end())
        await asyncio.wait([ending], timeout=_STOP_SECONDS)  # `wait_for` would cancel it, which faust takes for an end
        if not ending.done():
            return False
        if error := ending.exception():
            _log.warning("faust failed while it stopped", reason=repr(error))
        return True

    async def _end(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._starting
        await self._app.stop()

    @property
    def crash(self) -> str:
        """What it crashed of, for itself; empty where it did not."""
        return repr(self._app.crash_reason) if self._app.crashed else ""

    @property
    def is_rebalancing(self) -> bool:
        """Also before it has a first assignment."""
        return bool(self._app.rebalancing or not self._app.rebalancing_count)

    def assigned(self) -> set[int]:
        """The partitions that the group gave it."""
        return {place.partition for place in self._app.consumer.assignment() if place.topic == self._topic}

    async def seek(self, partition: int, offset: int) -> None:
        """The next record of the partition will be the one at `offset`, sooner or later."""
        place = TP(self._topic, partition)
        try:
            await self._app.consumer.seek_wait({place: offset})
        except Exception as error:  # noqa: BLE001 - it may be another's by now; else its records will be missed
            _log.warning("stream not set", partition=partition, offset=offset, reason=repr(error))
        else:
            # else a gap behind it keeps faust from committing
            self._app.consumer._committed_offset[place] = offset or None

    def ends(self, partitions: Collection[int], now_ms: int) -> LogEnds:
        """As the last fetch of each partition told; those that have no fetch yet, or were just taken, are missing.

        A consumer that is cut off from Kafka, or waits for us, fetches nothing: then what it knows is old.
        """
        known: dict[int, int] = {}
        for number in partitions:
            place = TP(self._topic, number)
            with contextlib.suppress(Exception):  # aiokafka's own error, where it is not assigned any more
                if (end := self._app.consumer.highwater(place)) is not None:
                    now_ms = min(now_ms, self._app.consumer._thread._consumer.last_poll_timestamp(place))
                    known[number] = end
        return LogEnds(known, now_ms)

    async def earliest(self, partition: int) -> int:
        """The first offset of the partition that Kafka still has.

        Raises:
            LogUnavailable: Kafka does not answer.
        """
        place = TP(self._topic, partition)
        try:
            found = await asyncio.wait_for(self._app.consumer.earliest_offsets(place), _ANSWER_SECONDS)
        except Exception as error:
            raise LogUnavailable(f"Kafka does not answer: {error!r}") from error
        return int(found.get(place, 0))


def record_of(fetched: Fetched) -> StoredRecord:
    """The record as the log keeps it."""
    message = fetched.message
    appended_ms = int((message.timestamp or 0) * 1000)
    return StoredRecord(Topic.EVENTS, message.partition, message.offset, None, message.value, appended_ms)


def _make_app(kafka: Kafka, settings: Writer) -> Any:
    servers = ";".join(f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(","))
    return faust.App(
        kafka.group,
        broker=servers,
        broker_credentials=_credentials(kafka),
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_buffer_maxsize=_TAKE_RECORDS,
        stream_processing_timeout=_QUIET_SECONDS,
        broker_commit_livelock_soft_timeout=_QUIET_SECONDS,
        broker_session_timeout=_SESSION_SECONDS,
        broker_heartbeat_interval=_SESSION_SECONDS / 4,
        broker_commit_interval=max(1.0, settings.flush_after_seconds),
        worker_redirect_stdouts=False,
        autodiscover=False,
        datadir="/tmp/penstock-faust-unused",  # noqa: S108 - nothing is written there: the store is in memory
    )


def _credentials(kafka: Kafka) -> Any:
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=kafka.ssl_cafile or None)
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _receiver(inbox: Inbox[Fetched]) -> Callable[[Any], Awaitable[None]]:
    """The agent: what faust fetched goes into the inbox, unacknowledged."""

    async def receive(stream: Any) -> None:
        fetched: list[Fetched]
        async for fetched in stream.noack_take(_TAKE_RECORDS, within=_TAKE_SECONDS):
            await inbox.put(fetched, sum([len(one.message.value or b"") for one in fetched]))

    return receive
