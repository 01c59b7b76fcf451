"""Identities: how the ids of contacts and events come about.

Derived ids are UUIDv5, so that the write path looks nothing up: the same person, and the same retry, has the same id in
every process. The digests are computed with hashlib directly, past `uuid.uuid5` and its objects, as this runs once or
twice per event.
"""

import os
import re
from hashlib import sha1
from uuid import UUID

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_uuid(text: str) -> bool:
    """Whether it is a UUID as it is written everywhere; columns of such take nothing else."""
    return bool(_UUID.fullmatch(text))


def _text(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def _name_based(namespace: bytes, name: bytes) -> str:
    """UUIDv5 (RFC 9562, 5.5) of `name` in `namespace` (16 bytes)."""
    digest = bytearray(sha1(namespace + name, usedforsecurity=False).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x50
    digest[8] = (digest[8] & 0x3F) | 0x80
    return _text(digest.hex())


class _RandomDigits:
    """The kernel's random bytes as hexadecimal digits, fetched many at a time: a system call an id would cost most."""

    _FETCHED_BYTES = 8192

    def __init__(self) -> None:
        self._digits = ""
        self._used = 0

    def take(self, count: int) -> str:
        """`count` digits that were never given out. One event loop's use only: threads would share digits."""
        start = self._used
        if start + count > len(self._digits):
            self._digits, start = os.urandom(self._FETCHED_BYTES).hex(), 0
        self._used = start + count
        return self._digits[start : self._used]


random_digits = _RandomDigits().take


def contact_id(project_id: str, email: str) -> str:
    """The id of the person with the normalised (lower-case) address `email` in the project."""
    return _name_based(UUID(project_id).bytes, email.encode())


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class _EventIds:
    """UUIDv7 (RFC 9562, 5.7 and 6.2): milliseconds since 1970, then 73 random bits, drawn anew for each millisecond.

    Within one, the last 48 bits count up from where they were drawn (from the lower half, so that they never overflow):
    events of one process have ids in the order in which they came, and the draw is shared by all of the millisecond.
    """

    def __init__(self) -> None:
        self._unix_ms = -1
        self._head = ""
        self._last = 0

    def next(self, unix_ms: int) -> str:
        """One event loop's use only: threads would share ids."""
        if unix_ms != self._unix_ms:
            self._draw(unix_ms)
        self._last += 1
        return f"{self._head}{self._last:012x}"

    def _draw(self, unix_ms: int) -> None:
        time, digits = f"{unix_ms:012x}", random_digits(19)
        self._unix_ms = unix_ms
        self._head = f"{time[:8]}-{time[8:]}-7{digits[:3]}-{_VARIANT[digits[3]]}{digits[4:7]}-"
        self._last = int(digits[7:], 16) >> 1


event_id = _EventIds().next


def derived_event_id(contact: str, cause: str, key: str) -> str:
    """The id of an event that may be sent twice.

    Args:
        contact: id of the contact; it stands for the project as well, as it is derived from it.
        cause: what kind of key it is (`idempotency`, ...): equal keys of two kinds must not meet.
        key: what repeats when the event is sent again.
    """
    return _name_based(bytes.fromhex(contact.replace("-", "")), f"{cause}:{key}".encode())
