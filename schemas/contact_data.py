"""What an event's `data` does to its contact's: which of its members count, and the fold of several objects. Pure.

The texts of values stay as they were sent, whatever their numbers are.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

IGNORED_KEYS = frozenset({"id", "email", "plunk_id", "plunk_email", "unsubscribeUrl", "subscribeUrl", "manageUrl"})
"""Keys that an event may have and a contact has not, or not from there."""

_NULL = b"null"
_EMPTY = b'""'

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Wrapped(msgspec.Struct, gc=False):
    """A value that may say of itself that it is not to be kept."""

    value: msgspec.Raw = msgspec.Raw(b"")
    persistent: msgspec.Raw = msgspec.Raw(b"")


_decode_wrapped = msgspec.json.Decoder(_Wrapped).decode


def counting_members(data: str | bytes) -> dict[str, bytes]:
    """The members of an object that count for the contact, as text; null deletes. Of equal keys the last counts.

    Raises:
        msgspec.DecodeError: it is no object.
    """
    return {
        key: text
        for key, value in _decode_members(data).items()
        if (text := bytes(value)) != _EMPTY and key not in IGNORED_KEYS and not (text[:1] == b"{" and _is_passing(text))
    }


def _is_passing(value: bytes) -> bool:
    """Whether it is `{"value": …, "persistent": false}`."""
    wrapped = _decode_wrapped(value)
    return bool(bytes(wrapped.value)) and bytes(wrapped.persistent) == b"false"


def folded(objects: Iterable[tuple[Any, str | bytes]]) -> dict[str, bytes]:
    """A contact's data: of each key the value, as text, of whichever object set it last.

    The order of keys is that in which they were set, so it does not depend on objects that were replaced as a whole.

    Args:
        objects: pairs of a version (anything that can be compared) and an object's text.
    """
    data: dict[str, bytes] = {}
    for _, text in sorted(objects, key=lambda one: one[0]):
        for key, value in counting_members(text).items():
            data.pop(key, None)
            if value != _NULL:
                data[key] = value
    return data
