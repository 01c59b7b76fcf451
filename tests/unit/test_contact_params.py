"""Raw parameters and bodies of the contact routes: what is accepted, and every code of what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import MalformedBody, ValidationFailed
from query_api.contact_cursor import to_token
from query_api.contact_params import Change, ContactsRequest, change_request, contacts_request
from query_api.contact_queries import behind_prefix
from query_api.fields import Fields, query_values


def asked(query: bytes) -> ContactsRequest:
    fields = Fields(query_values(query))
    found = contacts_request(fields)
    fields.finish()
    return found


def problems(caught: pytest.ExceptionInfo[ValidationFailed]) -> list[tuple[str, str]]:
    return [(problem.field, problem.code) for problem in caught.value.field_errors]


def test_without_parameters_the_first_100_of_all_are_asked_for() -> None:
    assert asked(b"") == ContactsRequest("", None, 100, "")
    assert asked(b"search=&subscribed=&limit=&cursor=") == ContactsRequest()


def test_all_parameters_are_taken() -> None:
    cursor = to_token("bob@example.com")
    query = f"search=Ada%2Bnews&subscribed=false&limit=7&cursor={cursor}"
    assert asked(query.encode()) == ContactsRequest("ada+news", False, 7, "bob@example.com")
    assert asked(b"subscribed=true").subscribed is True


def test_a_plus_may_arrive_as_a_blank() -> None:
    assert asked(b"search=ada+news").search == "ada+news"


def test_all_that_is_wrong_is_named() -> None:
    with pytest.raises(ValidationFailed) as caught:
        asked(b"search=%FF&subscribed=yes&limit=0&cursor=x")
    assert problems(caught) == [
        ("search", "invalid_string"),
        ("subscribed", "invalid_type"),
        ("limit", "too_small"),
        ("cursor", "invalid_string"),
    ]


@pytest.mark.parametrize("text", ["True", "1", "0", "no", "null", " true"])
def test_only_true_and_false_are_flags(text: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        asked(f"subscribed={text}".encode())
    assert problems(caught) == [("subscribed", "invalid_type")]


@given(st.text(min_size=1, max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_a_prefix_ends_where_no_text_begins_with_it_any_more(prefix: str, more: str, other: str) -> None:
    end = behind_prefix(prefix).encode()
    assert not end or (prefix + more).encode() < end
    if not other.startswith(prefix) and other.encode() > prefix.encode():
        assert end
        assert other.encode() >= end


@pytest.mark.parametrize(
    ("prefix", "end"), [("a", "b"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", ""), ("é", "ê")]
)
def test_the_end_of_a_prefix_is_a_text(prefix: str, end: str) -> None:
    assert behind_prefix(prefix) == end


@pytest.mark.parametrize(
    ("body", "change"),
    [
        (b'{"subscribed":false}', Change(False, "")),
        (b'{"subscribed":true,"other":{"a":1}}', Change(True, "")),
        (b'{"data":{}}', Change(None, "{}")),
        (b' { "data" : { "b":1.10, "a":1e400, "b":null } } ', Change(None, '{ "b":1.10, "a":1e400, "b":null }')),
        (b'{"data":{"locale":"de"},"subscribed":false}', Change(False, '{"locale":"de"}')),
        (b'{"data":{"locale":null}}', Change(None, '{"locale":null}')),
        (b'{"data":5,"data":{"a":1}}', Change(None, '{"a":1}')),
    ],
)
def test_a_change_has_what_was_sent(body: bytes, change: Change) -> None:
    assert change_request(body) == change


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", [("body", "custom")]),
        (b'{"other":1}', [("body", "custom")]),
        (b"[]", [("body", "invalid_type")]),
        (b"5", [("body", "invalid_type")]),
        (b'{"subscribed":null}', [("subscribed", "invalid_type")]),
        (b'{"subscribed":"yes","data":5}', [("subscribed", "invalid_type"), ("data", "invalid_type")]),
        (b'{"data":null}', [("data", "invalid_type")]),
        (b'{"data":[1]}', [("data", "invalid_type")]),
        (b'{"data":"{}"}', [("data", "invalid_type")]),
        (b'{"data":{"locale":5}}', [("data.locale", "invalid_type")]),
        (b'{"data":{"a":%b}}' % (b"[" * 64 + b"]" * 64), [("data", "custom")]),
    ],
)
def test_what_is_wrong_with_a_change_is_named(body: bytes, expected: list[tuple[str, str]]) -> None:
    with pytest.raises(ValidationFailed) as caught:
        change_request(body)
    assert problems(caught) == expected


@pytest.mark.parametrize("body", [b"", b"{", b'{"data":{"a":NaN}}', b'{"data":{"a":"\\ud800"}}', b"\xff"])
def test_a_body_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        change_request(body)
