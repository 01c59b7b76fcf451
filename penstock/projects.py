"""Projects, keys and SNS topics as facts in the control topic: what the commands change, and how each process follows.

All of it works on the log alone, so it works before, beside and without a running server.
"""

import re
import threading
from dataclasses import dataclass
from uuid import UUID, uuid4

import msgspec
import structlog

from penstock.auth import KeyRing, NewKey, begins_with, new_key
from penstock.errors import LogUnavailable, StartError
from penstock.eventlog import EventLog, LogTail
from schemas.control import ApiKey, KeyKind, Project, SnsTopic, Subject, control_key, encode_subject
from schemas.times import to_wire
from schemas.topics import Topic

_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]{1,32}:[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_POLL_BYTES = 1 << 20
_POLL_SECONDS = 1.0
_MOST_IDLE_POLLS = 10
_RETRY_SECONDS = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project that was just made, and its two keys."""

    project: Project
    public: NewKey
    secret: NewKey


def _apply(ring: KeyRing, tail: LogTail, timeout_seconds: float) -> int:
    """Applies what the tail has; returns how many records that were."""
    records = tail.poll(timeout_seconds=timeout_seconds, max_bytes=_POLL_BYTES)
    for record in records:
        try:
            ring.apply(record.key or "", record.value)
        except (msgspec.DecodeError, ValueError) as error:
            _log.error("control record ignored", offset=record.offset, key=record.key, reason=str(error))
    return len(records)


def read_all(log: EventLog) -> KeyRing:
    """Everything that the control topic says now.

    Raises:
        LogUnavailable: the log does not answer.
    """
    ring = KeyRing()
    tail = log.tail(Topic.CONTROL, {0: 0})
    try:
        _catch_up(ring, tail)
    finally:
        tail.close()
    return ring


def _catch_up(ring: KeyRing, tail: LogTail) -> None:
    end, idle_polls = tail.ends()[0], 0
    while tail.position(0) < end:
        idle_polls = 0 if _apply(ring, tail, _POLL_SECONDS) else idle_polls + 1
        if idle_polls >= _MOST_IDLE_POLLS:
            raise LogUnavailable("The control topic cannot be read to its end")
    ring.is_complete = True


def _publish(log: EventLog, subject: Subject) -> None:
    log.publish(Topic.CONTROL, control_key(subject), encode_subject(subject))


def create_project(log: EventLog, name: str, now_ms: int) -> NewProject:
    """Makes a project with a public and a secret key.

    The keys are published first: a project that is known has keys, and keys without a project open nothing.

    Raises:
        StartError: the name is empty or too long, or no text.
        LogUnavailable: not known whether it was made.
    """
    if not 1 <= len(name.strip()) <= 255:
        raise StartError("A project's name has 1 to 255 characters.")
    if not _is_unicode(name):
        raise StartError("A project's name must be UTF-8.")
    created_at = to_wire(now_ms)
    project = Project(str(uuid4()), name, created_at)
    made = NewProject(project, new_key("public", project.id, created_at), new_key("secret", project.id, created_at))
    for subject in (made.public.record, made.secret.record, project):
        _publish(log, subject)
    return made


def _is_unicode(text: str) -> bool:
    """Whether it can be stored: bytes of the command line that are not UTF-8 arrive as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def find_project(ring: KeyRing, project_id: str) -> Project:
    """The project of that id, in whichever spelling a UUID has.

    Raises:
        StartError: there is none.
    """
    try:
        wanted = str(UUID(project_id))
    except ValueError:
        wanted = project_id
    for project in ring.projects():
        if project.id == wanted:
            return project
    raise StartError(f"There is no project {project_id!r}; 'penstock project list' shows all.")


def set_enabled(log: EventLog, project_id: str, enabled: bool) -> Project:
    """Enables or disables a project.

    Raises:
        StartError: there is no such project.
    """
    project = msgspec.structs.replace(find_project(read_all(log), project_id), enabled=enabled)
    _publish(log, project)
    return project


def create_key(log: EventLog, project_id: str, kind: KeyKind, now_ms: int) -> NewKey:
    """Makes one more key for a project.

    Raises:
        StartError: there is no such project.
    """
    made = new_key(kind, find_project(read_all(log), project_id).id, to_wire(now_ms))
    _publish(log, made.record)
    return made


def revoke_key(log: EventLog, prefix: str, now_ms: int) -> ApiKey:
    """Revokes the one key that begins with `prefix`: some of the 11 characters that are kept, or the whole key.

    Raises:
        StartError: no key begins so, or several do.
    """
    if len(prefix) <= len("sk_"):
        raise StartError(f"{prefix!r} is too short to tell keys apart; 'penstock key list' shows all.")
    keys = read_all(log).keys()
    found = [key for key in keys if begins_with(key, prefix)]
    if len(found) != 1:
        raise StartError(
            f"{len(found) or 'No'} keys begin with {prefix!r}; 'penstock key list' shows all. "
            "Give the characters that it shows, or the whole key."
        )
    revoked = found[0] if found[0].revoked_at else msgspec.structs.replace(found[0], revoked_at=to_wire(now_ms))
    _publish(log, revoked)
    return revoked


def add_topic(log: EventLog, project_id: str, arn: str, now_ms: int) -> SnsTopic:
    """Registers an SNS topic for a project; again changes nothing.

    Raises:
        StartError: no ARN of a topic, no such project, or the topic is another project's.
    """
    if not _TOPIC_ARN.fullmatch(arn):
        raise StartError(f"{arn!r} is no ARN of an SNS topic (arn:aws:sns:<region>:<account>:<name>).")
    ring = read_all(log)
    project = find_project(ring, project_id)
    for topic in ring.topics():
        if topic.arn == arn and topic.project_id == project.id:
            return topic
        if topic.arn == arn:
            raise StartError(f"The topic belongs to project {topic.project_id}; remove it there first.")
    topic = SnsTopic(arn, project.id, to_wire(now_ms))
    _publish(log, topic)
    return topic


def remove_topic(log: EventLog, arn: str) -> SnsTopic:
    """Takes an SNS topic from its project: its messages are refused from then on.

    Raises:
        StartError: it is nobody's.
    """
    for topic in read_all(log).topics():
        if topic.arn == arn:
            log.publish(Topic.CONTROL, control_key(topic), None)
            return topic
    raise StartError(f"The topic {arn!r} is not registered; 'penstock topic-arn list' shows all.")


class ControlFollower:
    """Keeps a key ring up to date, in a thread of its own."""

    def __init__(self, log: EventLog, ring: KeyRing) -> None:
        self._log = log
        self._ring = ring
        self._caught_up = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control-follower", daemon=True)

    def start(self) -> None:
        """Begins to follow; `check` tells when all that there is was read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, within a poll."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def wait(self, timeout_seconds: float) -> bool:
        """Waits until all that there was at the start is read."""
        return self._caught_up.wait(timeout_seconds)

    def check(self) -> None:
        """Whether the keys are known.

        Raises:
            LogUnavailable: not yet.
        """
        if not self._caught_up.is_set():
            raise LogUnavailable("Projects and keys were not read from the log yet")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except LogUnavailable as error:
                _log.warning("control topic not readable", reason=error.message)
            except Exception:  # noqa: BLE001 - a thread that ended would leave revoked keys good
                _log.exception("control topic not followed")
            self._stopping.wait(_RETRY_SECONDS)

    def _follow(self) -> None:
        """From the beginning: to apply a record twice changes nothing."""
        tail = self._log.tail(Topic.CONTROL, {0: 0})
        try:
            _catch_up(self._ring, tail)
            self._caught_up.set()
            while not self._stopping.is_set():
                _apply(self._ring, tail, 0.5)
        finally:
            tail.close()
