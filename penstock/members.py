"""From the text of a JSON object to a struct, or to everything that is wrong with it. Pure: no I/O, no clock.

The text is decoded at once; only where that fails is it looked at member by member, to name all that is wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from penstock.errors import FieldError, MalformedBody, ValidationFailed
from penstock.surrogates import has_half


class Members(msgspec.Struct):
    """A struct that `decode` makes.

    Attributes:
        STAND_INS: for members of the wrong type, or missing though required, so that the others can be checked.
            Optional ones need none, unless it makes a difference whether they are there.
    """

    STAND_INS: ClassVar[dict[str, Any]] = {}


Body = TypeVar("Body", bound=Members)

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_nothing = msgspec.json.Decoder(msgspec.Raw).decode

_TYPES: dict[str, tuple[type, str]] = {
    "event": (str, "string"),
    "segment": (str, "string"),
    "email": (str, "string"),
    "contactId": (str, "string"),
    "subscribed": (bool, "boolean"),
    "action": (str, "string"),
    "reason": (str, "string"),
    "data": (msgspec.Raw, "JSON value"),
    "timestamp": (str, "string"),
    "idempotencyKey": (str, "string"),
    "id": (str, "string"),
    "emailId": (str, "string"),
    "messageId": (str, "string"),
}
"""The members that mean something, in the order in which what is wrong with them is reported."""


def check_utf8(body: bytes) -> None:
    """JSON is UTF-8; the decoder does not look into what it skips.

    Raises:
        MalformedBody: it is not.
    """
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body is not UTF-8 (byte {error.start})") from error


def check_syntax(body: bytes) -> None:
    """The decoder stops at the first value of a wrong type: whether all of the body is JSON is not known by then.

    Raises:
        MalformedBody: it is not.
    """
    try:
        _decode_nothing(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error, body) from error


def malformed(error: Exception, body: bytes) -> MalformedBody:
    """The decoder's complaint as ours; its words name the byte, but mislead about halves of surrogate pairs."""
    if isinstance(error, RecursionError):
        return MalformedBody("The body is nested far deeper than is taken", suggestion="Send 64 levels at most.")
    if has_half(body):
        reason = "a string holds half of a surrogate pair (\\ud800 to \\udfff without its other half)"
    else:
        reason = str(error)
    return MalformedBody(f"The body is not valid JSON: {reason}")


FieldErrors = Callable[[Body, int], list[FieldError]]
"""All that is wrong with the values of a body at that time, milliseconds since 1970."""


def decode(body: bytes, decoder: msgspec.json.Decoder[Body], field_errors: FieldErrors[Body], now_ms: int) -> Body:
    """The struct in the text.

    Args:
        field_errors: asked only where some member has a wrong type.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: names every member of a wrong type, and then what `field_errors` finds as well.
    """
    check_utf8(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        check_syntax(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error, body) from error
    return _by_member(body, decoder.type, field_errors, now_ms)


def _by_member(body: bytes, kind: type[Body], field_errors: FieldErrors[Body], now_ms: int) -> Body:
    """A body that is JSON, read member by member, where reading it at once found a value of a wrong type.

    Returns:
        The body, where a later copy of the member has the right type: the last one counts.
    """
    try:
        members = _decode_members(body)
    except msgspec.ValidationError as error:
        raise ValidationFailed([FieldError("body", "Must be a JSON object", "invalid_type")]) from error
    wrong: list[FieldError] = []
    values: dict[str, Any] = {}
    for known in msgspec.structs.fields(kind):
        name = known.name
        if name not in members and not known.required:
            continue
        try:
            values[name] = _member(name, members)
        except ValidationFailed as error:
            wrong += error.field_errors
            values |= {name: kind.STAND_INS[name]} if name in kind.STAND_INS else {}
    decoded = kind(**values)
    wrong += field_errors(decoded, now_ms)
    if wrong:
        raise ValidationFailed(sorted(wrong, key=_field_order))
    return decoded


def _member(name: str, members: Mapping[str, msgspec.Raw]) -> Any:
    if name not in members:
        raise ValidationFailed([FieldError(name, "Required", "invalid_type")])
    member_type, readable = _TYPES[name]
    try:
        return msgspec.json.decode(members[name], type=member_type)
    except msgspec.DecodeError as error:
        raise ValidationFailed([FieldError(name, f"Must be a {readable}", "invalid_type")]) from error


def _field_order(error: FieldError) -> int:
    return list(_TYPES).index(error.field.partition(".")[0])
