"""The rules for the `data` of an event or a contact, whose text is kept as it was sent. Pure."""

import re

import msgspec

from penstock.errors import FieldError

MAX_DEPTH = 64
SHORT_DATA = 2 * MAX_DEPTH
"""Bytes: data that is no longer cannot be nested too deeply, as every level has two brackets."""

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ALIKE = bytes.maketrans(b"{}", b"[]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def data_errors(data: bytes) -> list[FieldError]:
    """All that is wrong with the JSON text of `data` (its syntax is known to be right)."""
    found = [error] if (error := depth_error(data)) else []
    if data[:1] == b"{" and (b"locale" in data or b"\\" in data) and not _has_good_locale(data):
        found.append(FieldError("data.locale", "Must be a string", "invalid_type"))
    return found


def depth_error(data: bytes) -> FieldError | None:
    """What is wrong with the nesting of `data`."""
    if len(data) > SHORT_DATA and data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deep(data):
        return FieldError("data", f"Nested deeper than {MAX_DEPTH} levels", "custom")
    return None


def _is_deep(data: bytes) -> bool:
    """Peels the innermost brackets off, all at once, as often as may be: linear in C, whatever the text is."""
    brackets = _STRING.sub(b"", data).translate(_ALIKE, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _has_good_locale(data: bytes) -> bool:
    locale = _members.decode(data).get("locale")
    return locale is None or bytes(locale)[:1] == b'"' or bytes(locale) == b"null"  # null deletes it from the contact
