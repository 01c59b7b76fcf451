"""The rules for single fields, at their bounds. The tables of the contract are in tests/wire/test_track.py."""

import time

import pytest

from ingest.fields import email_error, idempotency_key_error, name_error, occurred_ms
from penstock.data import data_errors
from penstock.errors import FieldError

NOW_MS = 1_795_417_200_123


def code(error: FieldError | int | None) -> str:
    """The error's code, "" for none."""
    return error.code if isinstance(error, FieldError) else ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [("", "too_small"), ("x", ""), ("x" * 255, ""), ("x" * 256, "too_big"), ("\U0001f600" * 255, ""), (" ", ""),
     ("email.sent", "reserved_event"), ("email." + "x" * 250, "too_big")],
)  # fmt: skip
def test_names(name: str, expected: str) -> None:
    assert code(name_error(name)) == expected


@pytest.mark.parametrize(
    ("email", "expected"),
    [("a@b.c", ""), ("a@b.co", ""), ("a@b", "invalid_string"), ("", "invalid_string"), ("a" * 316 + "@b.co", "too_big"),
     ("a" * 315 + "@b.co", ""), ("न\u094dय@उदाहरण.भारत", ""), ("\u094d@b.co", ""),
     ("ن\u064e\u200cا@b.co", ""), ("a\u200cb@b.co", "invalid_string"), ("\u200d@b.co", "invalid_string"),
     ("a@b.co\u0301", ""), ("😀@b.co", "invalid_string")],
)  # fmt: skip
def test_addresses(email: str, expected: str) -> None:
    assert code(email_error(email)) == expected


@pytest.mark.parametrize(
    "email", ["a" * 320, "a." * 160, "a@" + "b-" * 159, "a@" + "b." * 159, "a@" + "b-." * 106, "@" * 320]
)
def test_no_address_takes_long_to_refuse(email: str) -> None:
    started = time.perf_counter()
    for _ in range(20):
        assert email_error(email)
    assert time.perf_counter() - started < 0.2


@pytest.mark.parametrize(
    ("key", "expected"),
    [("", "too_small"), ("~" * 255, ""), ("~" * 256, "too_big"), (" ", ""), ("\x1f", "invalid_string"), ("\x7f", "invalid_string"),
     ("é", "invalid_string"), ("k\n", "invalid_string")],
)  # fmt: skip
def test_idempotency_keys(key: str, expected: str) -> None:
    assert code(idempotency_key_error(key)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-11-23T07:05:00.123Z", ""), ("2026-11-23T07:05:00.124Z", "too_big"), ("1970-01-01", ""),
     ("1969-12-31T23:59:59.999999Z", "too_small"), ("nonsense", "invalid_string"), ("2026-13-01", "invalid_string")],
)  # fmt: skip
def test_timestamps(text: str, expected: str) -> None:
    assert code(occurred_ms(text, NOW_MS)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"[" * 64 + b"]" * 64, ""), (b"[" * 65 + b"]" * 65, "data"), (b'[{"a":' * 32 + b"1" + b"}]" * 32, ""),
     (b'{"locale":1,"d":' + b"[" * 65 + b"]" * 65 + b"}", "data data.locale"),
     (b'[{"a":' * 32 + b"[]" + b"}]" * 32, "data"), (b'"' + b"[" * 99 + b'"', ""), (b'["\\\\",' + b"[" * 64 + b"]" * 64 + b"]", "data"),
     (b'["\\"' + b"[" * 99 + b'"]', ""), (b"[" + b"{}," * 99 + b"[]]", ""), (b'{"locale":1}', "data.locale"),
     (b'{"locale":"x"}', ""), (b'{"locale":null}', ""), (b'{"locale":"x","locale":1}', "data.locale"),
     (b'{"locale":1,"locale":"x"}', ""), (b'{"\\u006cocale":1}', "data.locale"), (b'{"x":"locale"}', ""),
     (b'{"x":{"locale":1}}', ""), (b'[{"locale":1}]', "")],
)  # fmt: skip
def test_data(data: bytes, expected: str) -> None:
    assert " ".join(error.field for error in data_errors(data)) == expected


def test_the_depth_of_64_kib_of_brackets_is_told_quickly() -> None:
    nasty = [
        b"[" * 32_000 + b"]" * 32_000,
        b"[" + b"[]," * 21_000 + b"[]]",
        b'["' + b'\\"' * 32_000 + b'"' + b",[]" * 99 + b"]",
    ]
    started = time.perf_counter()
    for data in nasty:
        data_errors(data)
    assert time.perf_counter() - started < 0.5
