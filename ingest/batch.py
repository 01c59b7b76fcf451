"""From the bytes of a batch to one outcome per item. Pure: no I/O, no clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ingest.accept import Accepted, Caller, ItemBody, accept_decoded, accept_item, is_plain
from penstock.body import JSON_TYPES, NDJSON_TYPES
from penstock.errors import FieldError, MalformedBody, PayloadTooLarge, RequestError, ValidationFailed
from penstock.members import check_syntax, check_utf8, malformed
from penstock.surrogates import has_half, masked, unmasked

Outcome = Accepted | RequestError

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much a batch may hold; bytes are decompressed ones."""

    events: int
    event_bytes: int


class _Wrapped(msgspec.Struct, gc=False):
    events: list[msgspec.Raw]


class _WrappedItems(msgspec.Struct, gc=False):
    events: list[ItemBody]


_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(_Wrapped).decode
_decode_items = msgspec.json.Decoder(list[ItemBody]).decode
_decode_wrapped_items = msgspec.json.Decoder(_WrappedItems).decode


def accept_body(body: bytes, kind: bytes, caller: Caller, key: str | None, limits: BatchLimits) -> list[Outcome]:
    """One outcome per event of a batch, in their order.

    Most batches are right: all items are decoded at once. Where that fails, each is looked at for itself.

    Args:
        kind: the media type.
        key: the request's idempotency key; item *i* without one of its own has `<key>:<i>`.

    Raises:
        MalformedBody, ValidationFailed, PayloadTooLarge: see `split`.
    """
    items = _decoded_at_once(body, kind, limits)
    if items is None:
        return accept_batch(split(body, kind, limits), caller, key, limits)
    plain = is_plain(body)
    if key is None:
        return [_decoded_outcome(item, caller, None, plain) for item in items]
    return [_decoded_outcome(item, caller, f"{key}:{index}", plain) for index, item in enumerate(items)]


def _decoded_at_once(body: bytes, kind: bytes, limits: BatchLimits) -> list[ItemBody] | None:
    if kind in NDJSON_TYPES:
        return None
    check_utf8(body)
    try:
        items = _decode_wrapped_items(body).events if body.lstrip()[:1] == b"{" else _decode_items(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    too_many = len(items) > limits.events
    return None if too_many or (len(body) > limits.event_bytes and _has_large_item(body, limits)) else items


def _has_large_item(body: bytes, limits: BatchLimits) -> bool:
    return any(memoryview(item).nbytes > limits.event_bytes for item in _json_items(body))


def _decoded_outcome(item: ItemBody, caller: Caller, key: str | None, plain: bool) -> Outcome:
    try:
        return accept_decoded(item, caller, key, plain)
    except ValidationFailed as error:
        return error


def split(body: bytes, kind: bytes, limits: BatchLimits) -> Sequence[bytes | msgspec.Raw]:
    """The items' own texts, not yet looked into.

    Raises:
        MalformedBody: not JSON. (A line of NDJSON that is not is that item's matter.)
        ValidationFailed: JSON, but neither an array nor an object with the array `events`.
        PayloadTooLarge: too many items.
    """
    if kind in NDJSON_TYPES:
        items: Sequence[bytes | msgspec.Raw] = [item for line in body.split(b"\n") if (item := line.strip(b" \t\r"))]
    else:
        check_utf8(body)
        items = _json_items(body)
    if len(items) > limits.events:
        raise PayloadTooLarge(
            f"The batch has {len(items)} events, at most {limits.events} are taken", suggestion="Send several batches."
        )
    return items


def _json_items(body: bytes) -> Sequence[bytes | msgspec.Raw]:
    is_object = body.lstrip()[:1] == b"{"
    try:
        return _raw_items(body, is_object)
    except msgspec.ValidationError as error:
        check_syntax(body)
        field = "events" if is_object else "body"
        raise ValidationFailed([FieldError(field, "Must be an array of events", "invalid_type")]) from error
    except (msgspec.DecodeError, RecursionError) as error:
        items = _items_with_halves(body, is_object) if has_half(body) else None
        if items is None:
            raise malformed(error, body) from error
        return items


def _raw_items(body: bytes, is_object: bool) -> Sequence[msgspec.Raw]:
    return _decode_object(body).events if is_object else _decode_array(body)


def _items_with_halves(body: bytes, is_object: bool) -> list[bytes] | None:
    """The items where some hold half of a surrogate pair, which is found again in these alone."""
    text, mask = masked(body)
    try:
        items = _raw_items(text, is_object)
    except (msgspec.DecodeError, RecursionError):
        return None
    return [unmasked(bytes(item), mask) for item in items]


def accept_batch(
    items: Sequence[bytes | msgspec.Raw], caller: Caller, key: str | None, limits: BatchLimits
) -> list[Outcome]:
    """One outcome per item, in their order. Item *i* without a key of its own has `<key>:<i>`, where there is a key."""

    def accept(index: int, item: bytes) -> Accepted:
        return accept_item(item, caller, None if key is None else f"{key}:{index}")

    return outcomes(items, limits, accept)


def one_or_many(body: bytes, limits: BatchLimits, accept: Callable[[bytes], Made]) -> Made | list[Made | RequestError]:
    """What `accept` makes of the one object in a body; of an array one outcome per item, in their order.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: names every field of the one object that is wrong.
        PayloadTooLarge: the one object is too large, or the array has too many.
    """
    if body.lstrip()[:1] == b"[":
        items = split(body, next(iter(JSON_TYPES)), limits)
        return outcomes(items, limits, lambda _, item: accept(item))
    if len(body) > limits.event_bytes:
        raise PayloadTooLarge(f"The event is larger than {limits.event_bytes} bytes")
    return accept(body)


def outcomes(
    items: Sequence[bytes | msgspec.Raw], limits: BatchLimits, accept: Callable[[int, bytes], Made]
) -> list[Made | RequestError]:
    """What `accept` makes of each item, by its number and its text, or why it is refused."""
    return [_outcome(index, bytes(item), limits, accept) for index, item in enumerate(items)]


def _outcome(index: int, item: bytes, limits: BatchLimits, accept: Callable[[int, bytes], Made]) -> Made | RequestError:
    try:
        if len(item) > limits.event_bytes:
            raise PayloadTooLarge(f"The event is larger than {limits.event_bytes} bytes")
        return accept(index, item)
    except (MalformedBody, PayloadTooLarge, ValidationFailed) as error:
        return error
