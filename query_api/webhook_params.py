"""The headers that a workflow's deliveries carry. Pure."""

import re

from query_api.body_members import Members
from schemas.wire_registry import MAX_HEADER_NAME, MAX_HEADER_VALUE, MAX_HEADERS

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_OURS = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
    }
)
_OURS_BEGIN = ("proxy-", "webhook-")


def read_headers(webhook: Members) -> dict[str, str] | None:
    """`headers` of a `webhook`: None where the body does not name them."""
    headers = webhook.object("headers")
    if headers is None:
        return None
    names = headers.names()
    if len(names) > MAX_HEADERS:
        webhook.wrong("headers", f"Must have at most {MAX_HEADERS} headers", "too_big")
    seen: set[str] = set()
    values = {name: _value(headers, name) for name in names if _is_name(headers, name, seen)}
    return {name: value for name, value in values.items() if value is not None}


def _is_name(headers: Members, name: str, seen: set[str]) -> bool:
    lower = name.lower()
    if not _TOKEN.fullmatch(name):
        headers.wrong(name, "Not the name of a header", "invalid_string")
    elif len(name) > MAX_HEADER_NAME:
        headers.wrong(name, f"The name must have at most {MAX_HEADER_NAME} characters", "too_big")
    elif lower in _OURS or lower.startswith(_OURS_BEGIN):
        headers.wrong(name, "Is set by penstock itself", "custom")
    elif lower in seen:
        headers.wrong(name, "Is there twice: the case of names does not count", "custom")
    else:
        seen.add(lower)
        return True
    return False


def _value(headers: Members, name: str) -> str | None:
    """Values are never repeated in messages: they may be secret."""
    value = headers.text(name)
    if value is None:
        return None
    if len(value) > MAX_HEADER_VALUE:
        headers.wrong(name, f"Must have at most {MAX_HEADER_VALUE} characters", "too_big")
    elif not _VALUE.fullmatch(value):
        headers.wrong(name, "Must be printable ASCII characters, without blanks around them", "invalid_string")
    else:
        return value
    return None
