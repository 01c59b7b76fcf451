"""Keys and the ring that knows them."""

import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from itertools import permutations

import msgspec
import pytest
from msgspec.structs import replace

from penstock.auth import KeyRing, NewKey, bearer_token, new_key
from penstock.errors import InvalidApiKey, LogUnavailable, MissingAuth
from schemas.control import KeyKind, Project, Subject, control_key, encode_subject

AT = "2026-11-23T07:00:00.000Z"
PROJECT = Project("6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa", "shop", AT)
OTHER = Project("00000000-0000-4000-8000-000000000001", "other", AT)


def ring_of(*subjects: Subject) -> KeyRing:
    ring = KeyRing()
    ring.is_complete = True
    for subject in subjects:
        ring.apply(control_key(subject), encode_subject(subject))
    return ring


def bearer(key: NewKey) -> bytes:
    return f"Bearer {key.text}".encode()


def is_good(ring: KeyRing, key: NewKey, *, secret_only: bool = False) -> bool:
    try:
        ring.verify(bearer(key), secret_only=secret_only)
    except InvalidApiKey:
        return False
    return True


@pytest.mark.parametrize(("kind", "prefix"), [("public", "pk_"), ("secret", "sk_")])
def test_a_key_is_a_prefix_and_43_random_url_safe_characters_and_kept_hashed(kind: KeyKind, prefix: str) -> None:
    made = new_key(kind, PROJECT.id, AT)
    assert re.fullmatch(prefix + r"[A-Za-z0-9_-]{43}", made.text)
    assert made.record.hash == sha256(made.text.encode()).hexdigest()
    assert made.text.startswith(made.record.prefix)
    assert len(made.record.prefix) == 11
    assert made.text.encode() not in encode_subject(made.record)
    assert new_key(kind, PROJECT.id, AT).text != made.text


def test_a_known_key_stands_for_its_project_and_kind() -> None:
    public, secret = new_key("public", PROJECT.id, AT), new_key("secret", OTHER.id, AT)
    ring = ring_of(PROJECT, OTHER, public.record, secret.record)
    first, second = ring.verify(bearer(public), secret_only=False), ring.verify(bearer(secret), secret_only=True)
    assert (first.project_id, first.kind, first.enabled, str(first.project)) == (PROJECT.id, "public", True, PROJECT.id)
    assert (second.project_id, second.kind) == (OTHER.id, "secret")


def test_a_public_key_is_of_the_wrong_kind_where_a_secret_one_is_needed() -> None:
    public = new_key("public", PROJECT.id, AT)
    with pytest.raises(InvalidApiKey, match="public key"):
        ring_of(PROJECT, public.record).verify(bearer(public), secret_only=True)


@pytest.mark.parametrize("header", [None, b"", b"Bearer", b"Bearer ", b"Basic x", b"x", b"Bearer a b", b"Bearera"])
def test_a_header_of_another_form_is_missing_auth(header: bytes | None) -> None:
    with pytest.raises(MissingAuth):
        bearer_token(header)


@pytest.mark.parametrize("header", [b"Bearer x", b"bearer x", b"BEARER  x ", b" Bearer x"])
def test_the_token_is_found(header: bytes) -> None:
    assert bearer_token(header) == b"x"


def test_an_unknown_key_is_invalid_once_all_are_read_and_may_be_good_before() -> None:
    ring = ring_of(PROJECT)
    with pytest.raises(InvalidApiKey):
        ring.verify(b"Bearer pk_x", secret_only=False)
    ring.is_complete = False
    with pytest.raises(LogUnavailable):
        ring.verify(b"Bearer pk_x", secret_only=False)


def test_the_order_in_which_project_and_keys_arrive_does_not_matter() -> None:
    public, secret = new_key("public", PROJECT.id, AT), new_key("secret", PROJECT.id, AT)
    subjects: list[Subject] = [PROJECT, public.record, secret.record]
    for order in permutations(subjects):
        ring = ring_of(*order)
        assert is_good(ring, public)
        assert is_good(ring, secret, secret_only=True)


def test_keys_without_a_project_open_nothing() -> None:
    public = new_key("public", PROJECT.id, AT)
    assert not is_good(ring_of(OTHER, public.record), public)


CHANGES: list[tuple[str, Callable[[KeyRing, NewKey], None]]] = [
    (
        "revoked",
        lambda ring, key: ring.apply(control_key(key.record), encode_subject(replace(key.record, revoked_at=AT))),
    ),
    ("key gone", lambda ring, key: ring.apply(control_key(key.record), None)),
    ("project gone", lambda ring, _: ring.apply(control_key(PROJECT), None)),
]


@pytest.mark.parametrize(("what", "change"), CHANGES, ids=[what for what, _ in CHANGES])
def test_a_key_that_was_taken_away_is_invalid_and_good_again_when_it_is_given_back(
    what: str, change: Callable[[KeyRing, NewKey], None]
) -> None:
    public = new_key("public", PROJECT.id, AT)
    ring = ring_of(PROJECT, public.record)
    for _ in range(2):
        assert is_good(ring, public)
        change(ring, public)
        assert not is_good(ring, public), what
        ring.apply(control_key(PROJECT), encode_subject(PROJECT))
        ring.apply(control_key(public.record), encode_subject(public.record))


def test_a_revocation_concerns_one_key_only() -> None:
    revoked, other = new_key("public", PROJECT.id, AT), new_key("public", PROJECT.id, AT)
    ring = ring_of(PROJECT, revoked.record, other.record, replace(revoked.record, revoked_at=AT))
    assert (is_good(ring, revoked), is_good(ring, other)) == (False, True)


def test_disabling_a_project_reaches_all_its_keys_and_no_others() -> None:
    mine, other = new_key("secret", PROJECT.id, AT), new_key("secret", OTHER.id, AT)
    ring = ring_of(PROJECT, OTHER, mine.record, other.record, replace(PROJECT, enabled=False))
    assert ring.verify(bearer(mine), secret_only=True).enabled is False
    assert ring.verify(bearer(other), secret_only=True).enabled is True
    ring.apply(control_key(PROJECT), encode_subject(PROJECT))
    assert ring.verify(bearer(mine), secret_only=True).enabled is True


def test_reading_the_topic_twice_changes_nothing() -> None:
    public = new_key("public", PROJECT.id, AT)
    ring = ring_of(PROJECT, public.record, PROJECT, public.record)
    assert (len(ring.projects()), len(ring.keys())) == (1, 1)
    assert is_good(ring, public)


@pytest.mark.parametrize("value", [b"", b"{}", b"garbage", b'{"id":"no-uuid","name":"x","created_at":"x"}'])
def test_an_unreadable_record_changes_nothing(value: bytes) -> None:
    public = new_key("public", PROJECT.id, AT)
    ring = ring_of(PROJECT, public.record)
    for key in (control_key(PROJECT), control_key(public.record)):
        with pytest.raises(msgspec.DecodeError):
            ring.apply(key, value)
    assert is_good(ring, public)


def test_records_of_an_unknown_kind_are_passed_over() -> None:
    ring = ring_of(PROJECT)
    ring.apply("workflow/1", b'{"x":1}')
    ring.apply("workflow/1", None)
    assert ring.projects() == [PROJECT]


def test_lists_are_in_the_order_of_creation() -> None:
    made = [
        replace(PROJECT, id=f"00000000-0000-4000-8000-00000000000{number}", created_at=f"2026-01-0{9 - number}")
        for number in range(5)
    ]
    keys = [replace(new_key("public", project.id, AT).record, created_at=project.created_at) for project in made]
    ring = ring_of(*made, *keys)
    assert ring.projects() == made[::-1]
    assert ring.keys() == keys[::-1]
    assert ring.keys(made[2].id) == [keys[2]]
    assert ring.keys("unknown") == []


def test_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    public = new_key("public", PROJECT.id, AT)
    ring = ring_of(PROJECT, public.record)
    compare, compared = hmac.compare_digest, []

    def recorded(known: bytes, given: bytes) -> bool:
        compared.append((known, given))
        return compare(known, given)

    monkeypatch.setattr(hmac, "compare_digest", recorded)
    assert is_good(ring, public)
    digest = sha256(public.text.encode()).digest()
    assert compared == [(digest, digest)]


def test_a_key_whose_digest_only_begins_like_a_known_one_is_invalid() -> None:
    public = new_key("public", PROJECT.id, AT)
    near = replace(public.record, hash=public.record.hash[:16] + "0" * 48)
    assert not is_good(ring_of(PROJECT, near), public)


def test_many_projects_are_read_in_time_proportional_to_their_number() -> None:
    ring = KeyRing()
    for number in range(3000):
        project = replace(PROJECT, id=f"00000000-0000-4000-8000-{number:012x}")
        for subject in (new_key("public", project.id, AT).record, new_key("secret", project.id, AT).record, project):
            ring.apply(control_key(subject), encode_subject(subject))
    assert len(ring.projects()) == 3000
