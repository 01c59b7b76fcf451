"""What SNS posts: reading it, and the text that its signature is of. Pure: no I/O.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from penstock.errors import FieldError, ValidationFailed
from penstock.members import check_syntax, check_utf8, malformed

Kind = Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]


class SnsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message; the members have SNS's own names."""

    type: Kind = msgspec.field(name="Type")
    message_id: str = msgspec.field(name="MessageId")
    topic_arn: str = msgspec.field(name="TopicArn")
    message: str = msgspec.field(name="Message")
    timestamp: str = msgspec.field(name="Timestamp")
    signature_version: str = msgspec.field(name="SignatureVersion")
    signature: str = msgspec.field(name="Signature")
    certificate_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = msgspec.field(name="Subject", default=None)
    token: str | None = msgspec.field(name="Token", default=None)
    subscribe_url: str | None = msgspec.field(name="SubscribeURL", default=None)

    @property
    def is_confirmation(self) -> bool:
        """Whether it asks for, or confirms the end of, a subscription."""
        return self.type != "Notification"


_SIGNED: dict[bool, dict[str, Callable[[SnsMessage], str | None]]] = {
    False: {
        "Message": lambda one: one.message,
        "MessageId": lambda one: one.message_id,
        "Subject": lambda one: one.subject,
        "Timestamp": lambda one: one.timestamp,
        "TopicArn": lambda one: one.topic_arn,
        "Type": lambda one: one.type,
    },
    True: {
        "Message": lambda one: one.message,
        "MessageId": lambda one: one.message_id,
        "SubscribeURL": lambda one: one.subscribe_url,
        "Timestamp": lambda one: one.timestamp,
        "Token": lambda one: one.token,
        "TopicArn": lambda one: one.topic_arn,
        "Type": lambda one: one.type,
    },
}
"""The members that are signed, in the order in which they are, of notifications and of confirmations."""

_decoder = msgspec.json.Decoder(SnsMessage)
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def read_message(body: bytes) -> SnsMessage:
    """The message in a body.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: JSON, but no message of SNS; names every member that is missing or wrong.
    """
    check_utf8(body)
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        check_syntax(body)
        raise ValidationFailed(_problems(body)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error, body) from error


def _problems(body: bytes) -> list[FieldError]:
    try:
        members = _decode_object(body)
    except msgspec.ValidationError:
        return [FieldError("body", "Must be a JSON object", "invalid_type")]
    return [error for field in msgspec.structs.fields(SnsMessage) if (error := _problem(field, members))]


def _problem(field: msgspec.structs.FieldInfo, members: dict[str, Any]) -> FieldError | None:
    name = field.encode_name
    if name not in members:
        return FieldError(name, "Required", "invalid_type") if field.required else None
    try:
        msgspec.convert(members[name], field.type)
    except msgspec.ValidationError:
        if name == "Type" and isinstance(members[name], str):
            return FieldError(name, "Not a type of message that SNS sends", "invalid_enum_value")
        return FieldError(name, "Must be a string", "invalid_type")
    return None


def canonical(message: SnsMessage) -> bytes:
    """The text that is signed: each member's name and value, a line each; a member that is missing is left out."""
    signed = _SIGNED[message.is_confirmation]
    lines = [f"{name}\n{value}\n" for name, get in signed.items() if (value := get(message)) is not None]
    return "".join(lines).encode()
