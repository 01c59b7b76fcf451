"""Keys and SNS topics: how they are made, kept and checked.

Every process holds all of them (keys hashed) in memory and follows the control topic, so that a request is checked
without asking anyone and a revocation arrives within a second or so.
"""

import hmac
import secrets
from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from penstock.errors import InvalidApiKey, LogUnavailable, MissingAuth, TopicNotRegistered
from schemas.control import ApiKey, KeyKind, Project, SnsTopic, Subject, control_key, decode_subject, sns_topic_key

_PREFIXES: dict[KeyKind, str] = {"public": "pk_", "secret": "sk_"}
_SHOWN_CHARACTERS = 11
_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as far as the key tells."""

    project: UUID
    project_id: str
    kind: KeyKind
    enabled: bool


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: `text` is shown once and kept nowhere."""

    text: str
    record: ApiKey


def new_key(kind: KeyKind, project_id: str, created_at: str) -> NewKey:
    """A fresh key: its kind's prefix, then 43 random URL-safe characters (256 bits)."""
    text = _PREFIXES[kind] + secrets.token_urlsafe(_RANDOM_BYTES)
    digest = sha256(text.encode()).hexdigest()
    return NewKey(text, ApiKey(digest, text[:_SHOWN_CHARACTERS], kind, project_id, created_at))


def begins_with(key: ApiKey, text: str) -> bool:
    """Whether the key begins with `text`; of one that goes beyond what is kept only the whole key can be told."""
    if len(text) > len(key.prefix):
        return hmac.compare_digest(sha256(text.encode()).hexdigest(), key.hash)
    return key.prefix.startswith(text)


def bearer_token(header: bytes | None) -> bytes:
    """The key in an Authorization header.

    Raises:
        MissingAuth: there is none.
    """
    scheme, _, token = (header or b"").strip().partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or b" " in token:
        raise MissingAuth
    return token


class KeyRing:
    """All projects, keys and topics, as the control topic tells them. One thread applies records while others ask."""

    def __init__(self) -> None:
        self._subjects: dict[str, Subject] = {}
        self._keys_of: defaultdict[str, dict[str, ApiKey]] = defaultdict(dict)
        self._principals: dict[bytes, tuple[bytes, Principal]] = {}
        self.is_complete = False
        """Whether all that the control topic had was read once; before, an unknown key may be a good one."""

    def apply(self, key: str, value: bytes | None, _: int = 0) -> None:
        """Takes one record of the control topic.

        Raises:
            msgspec.DecodeError: the record is not readable; nothing changed.
        """
        subject = None if value is None else decode_subject(key, value)
        before = self._subjects.pop(key, None) if subject is None else self._subjects.get(key)
        if subject is not None:
            self._subjects[key] = subject
        self._index(subject or before)

    def _index(self, changed: Subject | None) -> None:
        if isinstance(changed, Project):
            for key in self._keys_of[changed.id].values():
                self._index(key)
        elif isinstance(changed, ApiKey):
            self._keys_of[changed.project_id][changed.hash] = changed
            digest = bytes.fromhex(changed.hash)
            if principal := self._principal(changed):
                self._principals[digest[:8]] = (digest, principal)
            else:
                self._principals.pop(digest[:8], None)

    def _principal(self, key: ApiKey) -> Principal | None:
        project = self._subjects.get(f"project/{key.project_id}")
        if control_key(key) not in self._subjects or key.revoked_at or not isinstance(project, Project):
            return None
        return Principal(UUID(project.id), project.id, key.kind, project.enabled)

    def projects(self) -> list[Project]:
        """All projects, oldest first."""
        found = [subject for subject in list(self._subjects.values()) if isinstance(subject, Project)]
        return sorted(found, key=lambda project: (project.created_at, project.id))

    def keys(self, project_id: str | None = None) -> list[ApiKey]:
        """All keys, or those of a project, oldest first."""
        found = [subject for subject in list(self._subjects.values()) if isinstance(subject, ApiKey)]
        chosen = [key for key in found if project_id in (None, key.project_id)]
        return sorted(chosen, key=lambda key: (key.created_at, key.hash))

    def topics(self, project_id: str | None = None) -> list[SnsTopic]:
        """All SNS topics, or those of a project, oldest first."""
        found = [subject for subject in list(self._subjects.values()) if isinstance(subject, SnsTopic)]
        chosen = [topic for topic in found if project_id in (None, topic.project_id)]
        return sorted(chosen, key=lambda topic: (topic.created_at, topic.arn))

    def principal_of_topic(self, arn: str) -> Principal:
        """Whose the messages of an SNS topic are. They may do what a public key may: bring events.

        Raises:
            TopicNotRegistered: nobody's.
            LogUnavailable: nobody's, but not all topics are read yet.
        """
        topic = self._subjects.get(sns_topic_key(arn))
        project = self._subjects.get(f"project/{topic.project_id}") if isinstance(topic, SnsTopic) else None
        if isinstance(project, Project):
            return Principal(UUID(project.id), project.id, "public", project.enabled)
        if not self.is_complete:
            raise LogUnavailable("The SNS topics were not read from the log yet")
        raise TopicNotRegistered(
            f"The topic {arn!r} belongs to no project", suggestion="penstock topic-arn add --project ID ARN"
        )

    def verify(self, authorization: bytes | None, *, secret_only: bool) -> Principal:
        """Who the header's key stands for.

        The key is looked up by its digest, which a caller cannot steer, and the digest compared in constant time.

        Raises:
            MissingAuth: no header, or not of the form `Bearer <key>`.
            InvalidApiKey: unknown or revoked, or a public key where `secret_only`.
            LogUnavailable: unknown, but not all keys are read yet.
        """
        digest = sha256(bearer_token(authorization)).digest()
        known, principal = self._principals.get(digest[:8], (b"", None))
        if principal is None or not hmac.compare_digest(known, digest):
            raise InvalidApiKey if self.is_complete else LogUnavailable("The keys were not read from the log yet")
        if secret_only and principal.kind != "secret":
            raise InvalidApiKey("A public key cannot be used here", "Use a secret key (sk_…).")
        return principal
