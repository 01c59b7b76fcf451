"""The records of the control topic: what every process knows without asking.

A record's key names its subject (`project/<id>`, `key/<hash>`, `sns-topic/<arn>`), its value is the newest state as
JSON; none means gone. Compaction keeps the newest of each key.
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


class SnsTopic(msgspec.Struct, frozen=True):
    """An SNS topic whose messages are a project's."""

    arn: str
    project_id: _Uuid
    created_at: str


Subject = Project | ApiKey | SnsTopic

_TYPES: dict[str, type[Project] | type[ApiKey] | type[SnsTopic]] = {
    "project": Project,
    "key": ApiKey,
    "sns-topic": SnsTopic,
}


def control_key(subject: Subject) -> str:
    """The record key of `subject`."""
    match subject:
        case Project():
            return f"project/{subject.id}"
        case ApiKey():
            return f"key/{subject.hash}"
        case SnsTopic():
            return sns_topic_key(subject.arn)


def sns_topic_key(arn: str) -> str:
    """The record key of an SNS topic: one topic is one project's."""
    return f"sns-topic/{arn}"


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
