"""The records of the control topic: what every process knows without asking.

A record's key names its subject (`project/<id>`, `key/<hash>`), its value is the newest state as JSON; none means gone.
Compaction keeps the newest of each key.
"""

from typing import Annotated, Literal

import msgspec

KeyKind = Literal["public", "secret"]

_Uuid = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Project(msgspec.Struct, frozen=True):
    """A project; disabled ones refuse writes."""

    id: _Uuid
    name: str
    created_at: str
    enabled: bool = True


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is kept: never itself, only its SHA-256.

    Attributes:
        hash: hex SHA-256 of the key. A fast hash is enough, as keys are 256 random bits: there is nothing to guess.
        prefix: the first characters, to tell keys apart and to revoke by.
        revoked_at: when it was revoked; None while it is good.
    """

    hash: _Sha256
    prefix: str
    kind: KeyKind
    project_id: _Uuid
    created_at: str
    revoked_at: str | None = None


Subject = Project | ApiKey

_TYPES: dict[str, type[Project] | type[ApiKey]] = {"project": Project, "key": ApiKey}


def control_key(subject: Subject) -> str:
    """The record key of `subject`."""
    return f"project/{subject.id}" if isinstance(subject, Project) else f"key/{subject.hash}"


def encode_subject(subject: Subject) -> bytes:
    """The record value of `subject`."""
    return msgspec.json.encode(subject)


def decode_subject(key: str, value: bytes) -> Subject | None:
    """Reads a record back; None for a kind that this version does not know (a newer one may write it).

    Raises:
        msgspec.DecodeError: the value is not what the key promises.
    """
    kind = _TYPES.get(key.partition("/")[0])
    return None if kind is None else msgspec.json.decode(value, type=kind)
