"""The parameters of one request, read one by one: what is wrong is collected, and told together.

An empty parameter means none, whichever it is; of a repeated one the last counts.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from urllib.parse import parse_qsl, unquote_to_bytes
from uuid import UUID

from penstock.errors import FieldError, ValidationFailed
from query_api.buckets import Interval
from query_api.contact_cursor import from_token as email_from_token
from query_api.cursor import MalformedCursor, Place
from query_api.cursor import from_token as place_from_token
from query_api.moments import Stretch, parse_stretch
from query_api.zones import UnknownZone, find_zone
from schemas.names import MAX_NAME
from schemas.position import MalformedPosition, Position
from schemas.position import from_token as position_from_token

MAX_LIMIT = 1000
POSITION_HEADER = "X-After-Position"

_NO_TEXT = "\udcff"
_INTEGER = re.compile(r"-?[0-9]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def query_values(query_string: bytes) -> dict[str, str]:
    """The decoded parameters of a URL. Bytes that are no UTF-8 become surrogates, which `Fields` refuses."""
    text = query_string.decode("utf-8", "surrogateescape")
    return dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape"))


def path_value(raw_path: bytes, decoded: str) -> str:
    """The same of a value in a path; `decoded` by the server, to which bytes that are no UTF-8 are U+FFFD.

    (A name may have that character: another event would be meant.)
    """
    try:
        unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return decoded.replace("\ufffd", _NO_TEXT)
    return decoded


class Fields:
    """Reads single parameters; `finish` tells what was wrong with any of them.

    A reader that finds its parameter wrong notes that and returns what it returns where the parameter is absent.

    Args:
        values: the query's parameters, and the path's.
        position: the header `X-After-Position`, None where there is none.
    """

    def __init__(self, values: Mapping[str, str], position: str | None = None) -> None:
        self._values = values
        self._position = position
        self._problems: list[FieldError] = []

    def wrong(self, field: str, message: str, code: str) -> None:
        """Notes a problem; `code` is one of Zod's."""
        self._problems.append(FieldError(field, message, code))

    @property
    def problems(self) -> Sequence[FieldError]:
        """What was found wrong so far, for who tells it together with more."""
        return self._problems

    def finish(self) -> None:
        """To be called when all is read.

        Raises:
            ValidationFailed: with everything that was wrong.
        """
        if self._problems:
            raise ValidationFailed(self._problems)

    def text(self, name: str) -> str | None:
        """The value as it is, or None where it is absent or empty."""
        value = self._values.get(name)
        if value and not _is_text(value):
            self.wrong(name, "Must be UTF-8, percent-encoded", "invalid_string")
            return None
        return value or None

    def event_name(self, name: str) -> str:
        """The name of an event, which every event has; "" where it cannot be one."""
        text = self._values.get(name, "")
        if not text:
            self.wrong(name, "The name has at least 1 character", "too_small")
        elif not _is_text(text):
            self.wrong(name, "Must be UTF-8, percent-encoded", "invalid_string")
        elif len(text) > MAX_NAME:
            self.wrong(name, f"The name has at most {MAX_NAME} characters", "too_big")
        else:
            return text
        return ""

    def limit(self, default: int) -> int:
        """`limit`, 1 to `MAX_LIMIT` in plain digits."""
        text = self.text("limit")
        if text is None:
            return default
        if not _INTEGER.fullmatch(text):
            self.wrong("limit", "Must be a whole number", "invalid_type")
        elif text.startswith("-") or not text.strip("0"):
            self.wrong("limit", "Must be at least 1", "too_small")
        elif len(digits := text.lstrip("0")) > len(str(MAX_LIMIT)) or int(digits) > MAX_LIMIT:
            self.wrong("limit", f"Must be at most {MAX_LIMIT}", "too_big")
        else:
            return int(digits)
        return default

    def cursor(self) -> Place | None:
        """`cursor`: the place behind which the page begins."""
        text = self.text("cursor")
        try:
            return place_from_token(text) if text else None
        except MalformedCursor:
            self.wrong("cursor", "Not a cursor that a list of events has answered", "invalid_string")
            return None

    def contacts_cursor(self) -> str:
        """`cursor` of the list of contacts: the address behind which the page begins, "" for none."""
        text = self.text("cursor")
        try:
            return email_from_token(text) if text else ""
        except MalformedCursor:
            self.wrong("cursor", "Not a cursor that a list of contacts has answered", "invalid_string")
            return ""

    def flag(self, name: str) -> bool | None:
        """`true` or `false`."""
        text = self.text(name)
        if text is None or text in ("true", "false"):
            return None if text is None else text == "true"
        self.wrong(name, "Must be true or false", "invalid_type")
        return None

    def zone(self) -> tzinfo:
        """`timezone`, else UTC. A `+` may arrive as a blank (`Etc/GMT+5`)."""
        text = self.text("timezone")
        try:
            return find_zone(text.replace(" ", "+")) if text else UTC
        except UnknownZone:
            self.wrong("timezone", "Not a time zone of the IANA data base (Europe/Berlin)", "invalid_string")
            return UTC

    def interval(self) -> Interval | None:
        """`interval`."""
        text = self.text("interval")
        try:
            return Interval(text) if text else None
        except ValueError:
            self.wrong("interval", f"Must be one of {', '.join(Interval)}", "invalid_enum_value")
            return None

    def moment(self, name: str, zone: tzinfo) -> Stretch | None:
        """A date or time; one without an offset is in `zone`."""
        text = self.text(name)
        try:
            return parse_stretch(text, zone) if text else None
        except ValueError:
            self.wrong(name, "Not an ISO 8601 date or time (2026-11-23, 2026-11-23T07:00:00Z)", "invalid_string")
            return None

    def uuid(self, name: str) -> str:
        """A UUID in lower case; "" where it is none."""
        text = self._values.get(name, "")
        if not _UUID.fullmatch(text):
            self.wrong(name, "Not a UUID", "invalid_string")
            return ""
        return str(UUID(text))

    def position(self) -> Position | None:
        """The header `X-After-Position`. An empty one is wrong: whoever sends it believes to read their writes."""
        if self._position is None:
            return None
        try:
            return position_from_token(self._position)
        except MalformedPosition:
            self.wrong(POSITION_HEADER, "Not a position that a write has answered", "invalid_string")
            return None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
