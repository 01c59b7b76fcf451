"""Accepting events: whatever is sent, it is refused in our words or kept as it was."""

import json
import string
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from hypothesis import assume, example, given
from hypothesis import strategies as st

from ingest.accept import Accepted, Caller, accept_item, accept_track
from ingest.batch import BatchLimits, Outcome, accept_batch, accept_body, split
from ingest.fields import email_error
from penstock.auth import Principal
from penstock.data import MAX_DEPTH, data_errors
from penstock.errors import MalformedBody, PenstockError, RequestError, ValidationFailed
from penstock.http import error_response
from penstock.members import check_syntax, check_utf8
from schemas.event import decode_event
from schemas.record import pack, positioned, unpack

PROJECT = "6f0c2f52-5b5a-4a52-9a3b-0d8a63c1f0aa"
CALLER = Caller(Principal(UUID(PROJECT), PROJECT, "public", True), 1_795_417_200_123, partitions=6)
LIMITS = BatchLimits(1000, 64 * 1024)

blanks = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n", "  "])
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
texts = st.builds(json.dumps, st.text(max_size=20), ensure_ascii=st.booleans())
keys = st.one_of(texts, st.sampled_from(['"locale"', '"a"', '"loc\\u0061le"', '""']))


def _listed(opening: str, closing: str, parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda before, inside, after: f"{opening}{before}{','.join(inside)}{after}{closing}",
        blanks,
        st.lists(parts, max_size=5),
        blanks,
    )


def _containers(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spaced = st.builds(lambda before, value, after: before + value + after, blanks, values, blanks)
    members = st.builds(lambda key, blank, value: f"{key}{blank}:{value}", keys, blanks, spaced)
    return st.one_of(_listed("[", "]", spaced), _listed("{", "}", members))


scalars = st.one_of(numbers, texts, st.sampled_from(["null", "true", "false"]))
json_texts = st.recursive(scalars, _containers, max_leaves=20)
"""JSON in all its spellings: blanks, escapes, numbers, repeated keys."""

deep_texts = st.builds(
    lambda kinds, inner: (
        "".join("[" if kind else '{"a":' for kind in kinds)
        + inner
        + "".join("]" if kind else "}" for kind in reversed(kinds))
    ),
    st.lists(st.booleans(), min_size=55, max_size=75),
    json_texts,
)

mutations = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["insert", "delete", "replace"]), st.sampled_from(list('[]{}",:\\/u0dDe8c1-+.tnf \x00\x1f\n\ufeffé'))),
    min_size=1,
    max_size=3,
)  # fmt: skip


def mutated(text: str, changes: list[tuple[int, str, str]]) -> str:
    for place, what, character in changes:
        at = place % (len(text) + 1)
        text = text[:at] + (character if what != "delete" else "") + text[at + (what != "insert") :]
    return text


def is_json(text: str) -> bool:
    """What the standard library says, made strict: no NaN, and nothing that is no Unicode, also where a later copy of a
    key hides it."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        value = json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str, parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def text_depth(text: str) -> int:
    """Of all values in the text, also those that a later copy of their key hides."""

    def kept(pairs: list[tuple[str, Any]]) -> Any:
        return [value for _, value in pairs]

    return depth(json.loads(text, object_pairs_hook=kept))


@given(json_texts)
def test_data_is_kept_as_sent(text: str) -> None:
    assume(not data_errors(text.encode()))
    body = f'{{"event":"a","data": {text}\n,"email":"a@b.co"}}'.encode()
    accepted = accept_track(body, CALLER, None)
    assert decode_event(accepted.line).data == text

    value = pack([accepted.line], derived=False, accepted_ms=1)
    line = json.loads(positioned(unpack(value), 1, 2))
    assert line["data"] == text
    assert (line["log_partition"], line["log_offset"], line["log_index"]) == (1, 2, 0)


@given(st.one_of(json_texts, deep_texts))
@example("[" * 64 + "]" * 64)
@example("[" * 65 + "]" * 65)
def test_the_depth_is_what_a_parser_counts(text: str) -> None:
    fields = [error.field for error in data_errors(text.encode())]
    assert ("data" in fields) is (text_depth(text) > MAX_DEPTH)


@given(json_texts, mutations)
@example('"\\ud800"', [(0, "insert", " ")])
@example('"\\ud800 text that follows"', [(0, "insert", " ")])
@example('"\\udc00\\ud800"', [(0, "insert", " ")])
@example('{"a":"\\ud800","a":"hidden"}', [(0, "insert", " ")])
def test_json_is_what_a_strict_parser_takes(text: str, changes: list[tuple[int, str, str]]) -> None:
    sent = mutated(text, changes)
    try:
        check_syntax(sent.encode())
        taken = True
    except MalformedBody:
        taken = False
    assert taken is is_json(sent)


def outcome_of(body: bytes, key: str | None = None) -> Accepted | RequestError:
    """Anything but one of our errors fails the test that asks."""
    outcomes: list[Accepted | RequestError] = []
    for accept in (accept_track, accept_item):
        try:
            outcomes.append(accept(body, CALLER, key))
        except RequestError as error:
            outcomes.append(error)
    for outcome in outcomes:
        if isinstance(outcome, Accepted):
            decode_event(outcome.line)
        else:
            assert 400 <= error_response(outcome, "id").status < 500
            assert not isinstance(outcome, ValidationFailed) or outcome.field_errors
    return outcomes[0]


@given(st.binary(max_size=200))
def test_any_bytes_are_accepted_or_refused_in_our_words(body: bytes) -> None:
    outcome_of(body)


members = st.dictionaries(
    st.sampled_from(["event", "email", "subscribed", "data", "timestamp", "idempotencyKey", "unknown"]),
    st.one_of(
        json_texts,
        st.sampled_from(['"signup"', '"a@b.co"', '"2026-01-01"', '"2030-01-01"', '"email.sent"', '"\\ud800"']),
    ),
    max_size=7,
)
bodies = members.map(lambda found: "{" + ",".join(f'"{name}":{value}' for name, value in found.items()) + "}")


@given(bodies, st.lists(mutations, max_size=1))
def test_any_members_are_accepted_or_refused_in_our_words(body: str, changes: list[list[tuple[int, str, str]]]) -> None:
    sent = mutated(body, changes[0]) if changes else body
    outcome = outcome_of(sent.encode(), "key")
    assert isinstance(outcome, MalformedBody) is not is_json(sent)


@given(st.text(max_size=300), st.text(max_size=30))
def test_a_name_is_kept_verbatim_or_refused(name: str, email: str) -> None:
    body = json.dumps({"event": name, "email": f"{email}@b.co"}).encode()
    outcome = outcome_of(body)
    if isinstance(outcome, Accepted):
        event = decode_event(outcome.line)
        assert (event.name, event.email) == (name, f"{email}@b.co".lower())
    else:
        assert {problem.field for problem in outcome.field_errors} <= {"event", "email"}


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=40))
def test_an_address_that_is_taken_is_taken_in_lower_case_too(text: str) -> None:
    for email in (text, f"{text}@b.co", f"a@{text}.co", f"a@{text}"):
        if email_error(email) is None:
            assert email_error(email.lower()) is None
            assert not set(email) & set(string.whitespace)
            assert email.count("@") == 1
            assert email.isprintable() or "\u200c" in email or "\u200d" in email


def comparable(outcome: Outcome) -> Any:
    """An outcome without what is random in it."""
    if isinstance(outcome, RequestError):
        return type(outcome), outcome.message, outcome.field_errors
    event = decode_event(outcome.line)
    name = event.id if event.derived else ""
    return name, event.name, event.email, event.data, event.subscribed, event.occurred_at, outcome.partition


def results_of(accept: Callable[[], Sequence[Outcome]]) -> Any:
    """The outcomes, or the error of the whole."""
    try:
        return [comparable(outcome) for outcome in accept()]
    except PenstockError as error:
        return type(error), str(error)


@given(st.lists(bodies, max_size=6), st.booleans(), st.sampled_from([None, "k"]), st.lists(mutations, max_size=1))
def test_a_batch_that_is_decoded_at_once_has_the_outcomes_that_its_items_have(
    items: list[str], wrapped: bool, key: str | None, changes: list[list[tuple[int, str, str]]]
) -> None:
    text = f"[{','.join(items)}]"
    text = f'{{"events":{text}}}' if wrapped else text
    body = (mutated(text, changes[0]) if changes else text).encode()
    at_once = results_of(lambda: accept_body(body, b"application/json", CALLER, key, LIMITS))
    one_by_one = results_of(lambda: accept_batch(split(body, b"application/json", LIMITS), CALLER, key, LIMITS))
    assert at_once == one_by_one


lines = st.one_of(bodies, st.text(max_size=30)).map(lambda text: text.replace("\n", " "))


@given(st.lists(lines, max_size=6))
def test_lines_have_the_outcomes_of_their_events(lines: list[str]) -> None:
    sent = [line.encode(errors="replace") for line in lines]
    outcomes = accept_body(b"\n".join(sent), b"application/x-ndjson", CALLER, None, LIMITS)
    expected = [comparable(item_outcome(text)) for line in sent if (text := line.strip(b" \t\r"))]
    assert [comparable(outcome) for outcome in outcomes] == expected


def item_outcome(line: bytes) -> Outcome:
    try:
        return accept_item(line, CALLER, None)
    except RequestError as error:
        return error


@given(st.binary(max_size=50))
def test_utf_8_is_what_python_decodes(body: bytes) -> None:
    try:
        body.decode()
        valid = True
    except UnicodeDecodeError:
        valid = False
    try:
        check_utf8(body)
        assert valid
    except MalformedBody:
        assert not valid
