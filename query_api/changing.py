"""Changing and erasing contacts: a record in the log, and waiting until the tables have followed it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import uuid4

import structlog

from penstock.clock import Clock
from penstock.errors import TablesRefused, Unavailable
from query_api import contact_answers
from query_api.contact_params import Change
from query_api.deleting import CONFIRMED_SECONDS, Markers
from query_api.freshness import Freshness
from query_api.reader import Reader
from schemas.erasure import Erasure
from schemas.event import Event, encode_event
from schemas.ids import event_id
from schemas.position import Position
from schemas.record import pack, pack_erasure
from schemas.times import to_wire
from schemas.topics import partition_of

VISIBLE_SECONDS = 5.0
"""How long a change may wait for the tables."""

_log = structlog.get_logger(__name__)


class Contacts(Protocol):
    """Who knows the contacts; `penstock.contacts.ContactDirectory` is one."""

    async def emails_of(self, project_id: str, contact_ids: Collection[str]) -> Mapping[str, str]:
        """The addresses of a project's contacts, by id; an id that is missing is nobody's.

        Whatever was acknowledged before the call counts.

        Raises:
            Unavailable: that cannot be told now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change came to.

    Attributes:
        contact: the body of the contact as it is now; None where the tables have not followed yet, which they will.
        position: where it stands.
    """

    contact: bytes | None
    position: Position


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure came to.

    Attributes:
        is_done: whether the tables have carried it out; if not, they will.
        position: where it stands.
    """

    is_done: bool
    position: Position


class Changer:
    """Changes and erases contacts, by their ids."""

    def __init__(
        self, markers: Markers, contacts: Contacts, *, reader: Reader, freshness: Freshness, clock: Clock
    ) -> None:
        self._markers = markers
        self._contacts = contacts
        self._reader = reader
        self._freshness = freshness
        self._clock = clock

    async def change(self, project_id: str, contact_id: str, change: Change) -> Changed:
        """Merges a change into a contact.

        Raises:
            NotFound: there is no such contact.
            Unavailable: not known whether there is, or whether it will happen; to ask again is harmless.
        """
        email = await self._email_of(project_id, contact_id)
        now_ms = self._clock.now_ms()
        event = Event(
            project_id,
            event_id(now_ms),
            "",
            to_wire(now_ms),
            contact_id,
            email,
            data=change.data,
            subscribed=change.subscribed,
            change=True,
            known_only=True,
        )
        record = pack([encode_event(event)], derived=False, accepted_ms=now_ms, has_changes=True)
        position = await self._append(contact_id, record, now_ms)
        if not await self._is_followed(position, VISIBLE_SECONDS):
            return Changed(None, position)
        return Changed(await self._contact(project_id, contact_id), position)

    async def erase(self, project_id: str, contact_id: str) -> Erased:
        """Removes a contact and its events, as far as they were acknowledged before the call; raises as `change`."""
        email = await self._email_of(project_id, contact_id)
        now_ms = self._clock.now_ms()
        record = pack_erasure(Erasure(str(uuid4()), project_id, contact_id, email), accepted_ms=now_ms)
        position = await self._append(contact_id, record, now_ms)
        return Erased(await self._is_followed(position, CONFIRMED_SECONDS), position)

    async def _email_of(self, project_id: str, contact_id: str) -> str:
        emails = await self._contacts.emails_of(project_id, [contact_id])
        if contact_id not in emails:
            raise contact_answers.unknown_contact(contact_id)
        return emails[contact_id]

    async def _append(self, contact_id: str, record: bytes, now_ms: int) -> Position:
        return await self._markers.mark(record, now_ms, partition_of(contact_id, self._markers.partitions))

    async def _is_followed(self, position: Position, timeout_seconds: float) -> bool:
        try:
            await self._freshness.wait_for(position, timeout_seconds)
        except Unavailable:
            return False
        return True

    async def _contact(self, project_id: str, contact_id: str) -> bytes | None:
        """None where it cannot be read. The change has happened, so no such error may say otherwise."""
        read = partial(contact_answers.contact, self._reader, project_id, contact_id)
        try:
            return await self._reader.run(project_id, read)
        except Unavailable:
            return None
        except TablesRefused as error:
            _log.error("changed contact not read", reason=str(error))
            return None
