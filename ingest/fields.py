"""The rules for single fields, as pure functions: each returns what is wrong, or None."""

import re
import unicodedata
from functools import lru_cache

from penstock.errors import FieldError
from schemas.names import MAX_NAME, MAX_REASON, MAX_REFERENCE, is_reserved
from schemas.times import parse_iso, to_ms

MAX_EMAIL = 320
MAX_KEY = 255
MAX_AHEAD_MS = 5 * 60 * 1000

_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[^\W\d_](?:[\w-]*[^\W_])?")
"""A plain address: RFC 5322's dot-atom, then a host name of two labels or more. Letters of any script (RFC 6531)."""

_MARKS = frozenset({"Mn", "Mc"})
_JOINERS = "\u200c\u200d"

_PRINTABLE = re.compile(r"[ -~]+")


def name_error(name: str) -> FieldError | None:
    """What is wrong with an event's name."""
    if len(name) > MAX_NAME:
        return FieldError("event", f"The name has at most {MAX_NAME} characters", "too_big")
    return _short_name_error(name)


@lru_cache(maxsize=4096)  # an installation has few names
def _short_name_error(name: str) -> FieldError | None:
    if not name:
        return FieldError("event", "The name has at least 1 character", "too_small")
    if is_reserved(name):
        return FieldError("event", f"{name!r} is a name of the system's own events", "reserved_event")
    return None


def email_error(email: str) -> FieldError | None:
    """What is wrong with an address. Blanks around it are an error, not trimmed."""
    if len(email) > MAX_EMAIL:
        return FieldError("email", f"The address has at most {MAX_EMAIL} characters", "too_big")
    if not _EMAIL.fullmatch(email) and not _EMAIL.fullmatch(_without_marks(email)):
        return FieldError("email", "Not a plain e-mail address (name@example.com)", "invalid_string")
    return None


def _without_marks(email: str) -> str:
    """The address with its combining marks as letters: they are part of words (Hindi, Thai), but not of `\\w`.

    So are the two joiners where they stand behind a mark (RFC 5892, A.1 and A.2).
    """
    if email.isascii():
        return email
    categories = [unicodedata.category(character) for character in email]
    return "".join(
        "x"
        if category in _MARKS or (character in _JOINERS and index and categories[index - 1] in _MARKS)
        else character
        for index, (character, category) in enumerate(zip(email, categories, strict=True))
    )


def idempotency_key_error(key: str) -> FieldError | None:
    """What is wrong with an idempotency key."""
    if not key:
        return FieldError("idempotencyKey", "The key has at least 1 character", "too_small")
    if len(key) > MAX_KEY:
        return FieldError("idempotencyKey", f"The key has at most {MAX_KEY} characters", "too_big")
    if not _PRINTABLE.fullmatch(key):
        return FieldError("idempotencyKey", "The key must be printable ASCII", "invalid_string")
    return None


def reference_error(field: str, text: str) -> FieldError | None:
    """What is wrong with an id that another system gave to a message or an event."""
    if not text:
        return FieldError(field, "The id has at least 1 character; leave it out where there is none", "too_small")
    if len(text) > MAX_REFERENCE:
        return FieldError(field, f"The id has at most {MAX_REFERENCE} characters", "too_big")
    return None


def reason_error(reason: str) -> FieldError | None:
    """What is wrong with why a subscription changed."""
    if not reason:
        return FieldError("reason", "The reason has at least 1 character, or is left out", "too_small")
    if len(reason) > MAX_REASON:
        return FieldError("reason", f"The reason has at most {MAX_REASON} characters", "too_big")
    return None


def occurred_ms(text: str, now_ms: int) -> int | FieldError:
    """The moment of a `timestamp`, or what is wrong with it. ClickHouse keeps nothing before 1970 in its hours."""
    try:
        moment = to_ms(parse_iso(text))
    except ValueError:
        return FieldError("timestamp", "Not an ISO 8601 time (2026-11-23T07:00:00.000Z)", "invalid_string")
    if moment > now_ms + MAX_AHEAD_MS:
        return FieldError("timestamp", "More than 5 minutes ahead of the server's clock", "too_big")
    if moment < 0:
        return FieldError("timestamp", "Before 1970", "too_small")
    return moment
