"""The records of the control topic."""

import msgspec
import pytest

from schemas.control import ApiKey, Project, Subject, control_key, decode_subject, encode_subject

PROJECT = Project("6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa", "Shop “5”", "2026-11-23T07:00:00.000Z", enabled=False)
KEY = ApiKey("ab" * 32, "pk_12345678", "public", PROJECT.id, "2026-11-23T07:00:00.000Z", "2026-11-24T07:00:00.000Z")


@pytest.mark.parametrize("subject", [PROJECT, KEY])
def test_a_subject_comes_back(subject: Subject) -> None:
    assert decode_subject(control_key(subject), encode_subject(subject)) == subject


def test_the_key_names_the_subject_so_that_compaction_keeps_its_newest_state() -> None:
    assert control_key(PROJECT) == f"project/{PROJECT.id}"
    assert control_key(KEY) == f"key/{KEY.hash}"


def test_members_that_a_newer_version_added_are_ignored() -> None:
    value = encode_subject(PROJECT)[:-1] + b',"quota":5}'
    assert decode_subject(control_key(PROJECT), value) == PROJECT


@pytest.mark.parametrize("key", ["workflow/1", "", "/", "projects/x"])
def test_kinds_that_a_newer_version_added_are_nothing(key: str) -> None:
    assert decode_subject(key, b'{"whatever":1}') is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("project/x", b""), ("project/x", b"garbage"), ("project/x", b"{}"), ("project/x", b"null"),
     ("project/x", encode_subject(PROJECT).replace(b"6f0c", b"zzzz")), ("key/x", encode_subject(PROJECT)),
     ("key/x", encode_subject(KEY).replace(b"abab", b"xyxy")), ("key/x", encode_subject(KEY).replace(b"public", b"master"))],
)  # fmt: skip
def test_what_is_not_what_its_key_promises_is_refused(key: str, value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_subject(key, value)
