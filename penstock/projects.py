"""Projects, keys and SNS topics as facts in the control topic: what the commands change.

All of it works on the log alone, so it works before, beside and without a running server.
"""

import re
from dataclasses import dataclass
from uuid import UUID, uuid4

import msgspec

from penstock.auth import KeyRing, NewKey, begins_with, new_key
from penstock.control import read_all
from penstock.errors import StartError
from penstock.eventlog import EventLog
from schemas.control import ApiKey, KeyKind, Project, SnsTopic, Subject, control_key, encode_subject
from schemas.times import to_wire
from schemas.topics import Topic

_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]{1,32}:[0-9]{12}:[A-Za-z0-9_.-]{1,256}")


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project that was just made, and its two keys."""

    project: Project
    public: NewKey
    secret: NewKey


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
