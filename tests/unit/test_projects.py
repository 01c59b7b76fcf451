"""Projects and keys through the control topic of a real log, as two processes see it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.auth import KeyRing, NewKey
from penstock.control import ControlFollower, read_all
from penstock.errors import InvalidApiKey, LogUnavailable, StartError
from penstock.eventlog.sqlite import SqliteLog
from penstock.projects import (
    NewProject,
    create_key,
    create_project,
    find_project,
    revoke_key,
    set_enabled,
)
from schemas.control import ApiKey, KeyKind
from schemas.topics import Topic
from tests.support.services import wait_until

NOW_MS = 1_795_417_200_123


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def other_process(tmp_path: Path, log: SqliteLog) -> Iterator[SqliteLog]:
    """The same log, opened a second time."""
    opened = SqliteLog(tmp_path)
    opened.open()
    yield opened
    opened.close()


def may_write(ring: KeyRing, key: NewKey) -> bool:
    try:
        return ring.verify(f"Bearer {key.text}".encode(), secret_only=False).enabled
    except InvalidApiKey:
        return False


def test_a_project_is_found_in_whichever_spelling_its_id_has(log: SqliteLog) -> None:
    made = create_project(log, "shop", NOW_MS).project
    ring = read_all(log)
    for spelling in (made.id, made.id.upper(), f"{{{made.id}}}", made.id.replace("-", "")):
        assert find_project(ring, spelling) == made
    for unknown in ("", "x", "00000000-0000-4000-8000-000000000001"):
        with pytest.raises(StartError, match="There is no project"):
            find_project(ring, unknown)


def test_a_new_project_has_a_public_and_a_secret_key_and_another_process_reads_them(
    log: SqliteLog, other_process: SqliteLog
) -> None:
    made = create_project(log, "shop", NOW_MS)
    ring = read_all(other_process)
    assert ring.projects() == [made.project]
    assert (made.project.name, made.project.enabled) == ("shop", True)
    assert made.project.created_at == "2026-11-23T07:00:00.123Z"
    assert may_write(ring, made.public)
    assert ring.verify(f"Bearer {made.secret.text}".encode(), secret_only=True).project_id == made.project.id


def test_projects_of_the_same_name_are_two(log: SqliteLog) -> None:
    first, second = create_project(log, "shop", NOW_MS), create_project(log, "shop", NOW_MS + 1)
    assert first.project.id != second.project.id
    assert read_all(log).projects() == [first.project, second.project]


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "caf\udce9"])
def test_a_name_of_no_or_too_many_characters_or_of_no_text_is_refused(log: SqliteLog, name: str) -> None:
    with pytest.raises(StartError, match="name"):
        create_project(log, name, NOW_MS)
    assert read_all(log).projects() == []


@pytest.mark.parametrize("name", ["x", "x" * 255, "Käse & “Söhne”", "\U0001f600"])
def test_other_names_are_kept(log: SqliteLog, name: str) -> None:
    create_project(log, name, NOW_MS)
    assert read_all(log).projects()[0].name == name


def test_no_key_is_in_the_log(log: SqliteLog, tmp_path: Path) -> None:
    made = create_project(log, "shop", NOW_MS)
    more = create_key(log, made.project.id, "secret", NOW_MS)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for key in (made.public, made.secret, more):
        assert key.record.hash.encode() in stored
        assert key.text[11:].encode() not in stored


def test_a_project_is_disabled_and_enabled_for_both_its_keys(log: SqliteLog, other_process: SqliteLog) -> None:
    made, untouched = create_project(log, "shop", NOW_MS), create_project(log, "other", NOW_MS)
    assert set_enabled(log, made.project.id, enabled=False).enabled is False
    ring = read_all(other_process)
    assert [may_write(ring, key) for key in (made.public, made.secret, untouched.public)] == [False, False, True]
    set_enabled(other_process, made.project.id.upper(), enabled=True)
    assert may_write(read_all(log), made.public)


@pytest.mark.parametrize("project_id", ["", "nonsense", "00000000-0000-4000-8000-000000000000", "shop"])
def test_an_unknown_project_is_named(log: SqliteLog, project_id: str) -> None:
    create_project(log, "shop", NOW_MS)
    for act in (
        lambda: set_enabled(log, project_id, enabled=False),
        lambda: create_key(log, project_id, "public", NOW_MS),
    ):
        with pytest.raises(StartError, match="There is no project"):
            act()


@pytest.mark.parametrize("kind", ["public", "secret"])
def test_a_further_key_works_beside_the_first(log: SqliteLog, kind: KeyKind) -> None:
    made = create_project(log, "shop", NOW_MS)
    more = create_key(log, made.project.id, kind, NOW_MS + 1)
    ring = read_all(log)
    assert may_write(ring, made.public)
    assert may_write(ring, more)
    assert len(ring.keys(made.project.id)) == 3


@pytest.mark.parametrize("characters", [4, 11, 46])
def test_a_key_is_revoked_by_its_first_characters_or_by_itself(log: SqliteLog, characters: int) -> None:
    made = create_project(log, "shop", NOW_MS)
    revoked = revoke_key(log, made.public.text[:characters], NOW_MS + 5)
    assert revoked.revoked_at == "2026-11-23T07:00:00.128Z"
    ring = read_all(log)
    assert (may_write(ring, made.public), may_write(ring, made.secret)) == (False, True)


@pytest.mark.parametrize("end", ["x", "WRONGWRONG"])
def test_a_text_that_goes_beyond_what_is_kept_must_be_the_whole_key(log: SqliteLog, end: str) -> None:
    made = create_project(log, "shop", NOW_MS)
    with pytest.raises(StartError, match=r"No keys begin with .* or the whole key"):
        revoke_key(log, made.public.record.prefix + end, NOW_MS)
    assert not revoked_in(log)


def test_to_revoke_a_key_twice_keeps_the_first_time(log: SqliteLog) -> None:
    made = create_project(log, "shop", NOW_MS)
    first = revoke_key(log, made.public.record.prefix, NOW_MS)
    assert revoke_key(log, made.public.record.prefix, NOW_MS + 5_000) == first


def revoked_in(log: SqliteLog) -> list[ApiKey]:
    ring = read_all(log)
    return [key for key in ring.keys() if key.revoked_at]  # noqa: SIM118 - a ring is no dictionary


def with_prefix(log: SqliteLog, made: NewProject, prefix: str) -> None:
    """One more key that begins so."""
    digest = "ab" * 31 + f"{len(read_all(log).keys()):02x}"
    value = f'{{"hash":"{digest}","prefix":"{prefix}","kind":"public","project_id":"{made.project.id}","created_at":"2026"}}'
    log.publish(Topic.CONTROL, f"key/{digest}", value.encode())


def test_an_ambiguous_prefix_revokes_nothing(log: SqliteLog) -> None:
    made = create_project(log, "shop", NOW_MS)
    with_prefix(log, made, "pk_same0001")
    with_prefix(log, made, "pk_same0002")
    with pytest.raises(StartError, match="2 keys begin with 'pk_same'"):
        revoke_key(log, "pk_same", NOW_MS)
    assert not revoked_in(log)
    assert revoke_key(log, "pk_same0002", NOW_MS).prefix == "pk_same0002"


@pytest.mark.parametrize("prefix", ["", "p", "pk_", "sk_", "pk_nope", "nope"])
def test_a_prefix_that_says_nothing_revokes_nothing(log: SqliteLog, prefix: str) -> None:
    create_project(log, "shop", NOW_MS)
    with pytest.raises(StartError, match=r"No keys begin with|is too short to tell keys apart"):
        revoke_key(log, prefix, NOW_MS)
    assert not revoked_in(log)


def test_a_damaged_record_is_passed_over(log: SqliteLog) -> None:
    made = create_project(log, "shop", NOW_MS)
    for key in ("project/x", "key/x", "", "unknown/x"):
        log.publish(Topic.CONTROL, key, b"\xff garbage")
    more = create_key(log, made.project.id, "public", NOW_MS)
    assert may_write(read_all(log), more)


# --- following ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def followed(other_process: SqliteLog) -> Iterator[tuple[KeyRing, ControlFollower]]:
    """A ring that follows the log in another process."""
    ring = KeyRing()
    follower = ControlFollower(other_process, ring)
    follower.start()
    yield ring, follower
    follower.stop()


def test_a_follower_knows_all_that_there_was_before_it_says_so(log: SqliteLog, other_process: SqliteLog) -> None:
    made = [create_project(log, f"project {number}", NOW_MS) for number in range(50)]
    ring = KeyRing()
    follower = ControlFollower(other_process, ring)
    with pytest.raises(LogUnavailable, match="not read"):
        follower.check()
    with pytest.raises(LogUnavailable):  # not InvalidApiKey: it may be a good one
        ring.verify(f"Bearer {made[0].public.text}".encode(), secret_only=False)
    follower.start()
    try:
        assert follower.wait(5)
        follower.check()
        assert all(may_write(ring, project.public) for project in made)
        assert ring.is_complete
    finally:
        follower.stop()


def test_a_revocation_reaches_another_process_within_5_seconds(
    log: SqliteLog, followed: tuple[KeyRing, ControlFollower]
) -> None:
    ring, follower = followed
    assert follower.wait(5)
    made = create_project(log, "shop", NOW_MS)
    wait_until(lambda: may_write(ring, made.public), 5, "the new key")
    revoke_key(log, made.public.record.prefix, NOW_MS)
    wait_until(lambda: not may_write(ring, made.public), 5, "its revocation")
    assert may_write(ring, made.secret)


def test_a_disabled_project_reaches_another_process_within_5_seconds(
    log: SqliteLog, followed: tuple[KeyRing, ControlFollower]
) -> None:
    ring, _ = followed
    made = create_project(log, "shop", NOW_MS)
    wait_until(lambda: may_write(ring, made.public), 5, "the new key")
    set_enabled(log, made.project.id, enabled=False)
    wait_until(lambda: not may_write(ring, made.public), 5, "the end of its writes")


class Flaky:
    """A log whose reader fails some times before it works."""

    def __init__(self, log: SqliteLog, failures: int) -> None:
        self._log = log
        self.failures = failures

    def tail(self, *arguments: Any) -> Any:
        self.failures -= 1
        if self.failures >= 0:
            raise LogUnavailable("not now")
        return self._log.tail(*arguments)


def test_a_follower_outlives_a_log_that_does_not_answer(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.control._RETRY_SECONDS", 0.01)
    made = create_project(log, "shop", NOW_MS)
    ring = KeyRing()
    flaky: Any = Flaky(log, failures=3)
    follower = ControlFollower(flaky, ring)
    follower.start()
    try:
        assert follower.wait(5)
        assert may_write(ring, made.public)
    finally:
        follower.stop()
    assert "control-follower" not in [thread.name for thread in threading.enumerate()]
