"""What is wrong with a condition, collected with the path where it stands; and the values that several fields take."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from penstock.conditions.tree import Scalar
from penstock.errors import FieldError, ValidationFailed
from schemas.times import parse_iso, to_ms

MAX_TEXT = 1000
LARGEST = 1.7976931348623157e308

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY_MS = 86_400_000
_UNIT_MS = {"minutes": 60_000, "hours": 3_600_000, "days": _DAY_MS}
_LONGEST_MS = 1000 * 366 * _DAY_MS
"""Of a span: a thousand years reach beyond all that is stored, and overflow nothing."""


class Faults:
    """Notes what is wrong; a reader whose value is wrong notes that and returns None."""

    def __init__(self) -> None:
        self._found: list[FieldError] = []

    def note(self, path: str, message: str, code: str) -> None:
        """One fault; `code` is one of Zod's."""
        self._found.append(FieldError(path, message, code))

    def finish(self) -> None:
        """Raises ValidationFailed with all faults, if there are any."""
        if self._found:
            raise ValidationFailed(self._found)

    def text(self, path: str, value: Any) -> str | None:
        """A text that is not empty, of `MAX_TEXT` characters at most."""
        if not isinstance(value, str):
            self._mistyped(path, value, "Must be a string")
            return None
        if not value:
            self.note(path, "Must have at least 1 character", "too_small")
        elif len(value) > MAX_TEXT:
            self.note(path, f"Must have at most {MAX_TEXT} characters", "too_big")
        else:
            return value
        return None

    def flag(self, path: str, value: Any) -> bool | None:
        """A boolean."""
        if isinstance(value, bool):
            return value
        self._mistyped(path, value, "Must be true or false")
        return None

    def scalar(self, path: str, value: Any, *, ordered: bool = False) -> Scalar | None:
        """A JSON value that is compared; `ordered` ones are no booleans."""
        if isinstance(value, bool):
            if not ordered:
                return value
            self._mistyped(path, value, "Must be a number or a string")
            return None
        if isinstance(value, (int, float)):
            return as_double(value)
        if not isinstance(value, str):
            kinds = "a number or a string" if ordered else "a string, a number or a boolean"
            self._mistyped(path, value, f"Must be {kinds}")
            return None
        if len(value) > MAX_TEXT:
            self.note(path, f"Must have at most {MAX_TEXT} characters", "too_big")
            return None
        return value

    def count(self, path: str, value: Any) -> int | None:
        """A whole number, 0 at least."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
            self._mistyped(path, value, "Must be a whole number")
            return None
        if value < 0:
            self.note(path, "Must be at least 0", "too_small")
            return None
        return min(int(value), 1 << 62)

    def span(self, path: str, members: Mapping[str, Any]) -> int | None:
        """`value` and `unit` as milliseconds."""
        value, unit = members.get("value"), members.get("unit")
        unit_ms = _UNIT_MS.get(unit) if isinstance(unit, str) else None
        if unit_ms is None:
            code = "invalid_enum_value" if isinstance(unit, str) else "invalid_type"
            self.note(f"{path}.unit", f"Must be one of {', '.join(_UNIT_MS)}", code)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._mistyped(f"{path}.value", value, "Must be a number")
            return None
        if value <= 0:
            self.note(f"{path}.value", "Must be more than 0", "too_small")
            return None
        return None if unit_ms is None else round(min(as_double(value) * unit_ms, _LONGEST_MS))

    def moment(self, path: str, value: Any) -> tuple[int, int] | None:
        """An ISO 8601 date or time: from where up to where it is, in milliseconds since 1970."""
        if not isinstance(value, str):
            self._mistyped(path, value, "Must be an ISO 8601 date or time (2026-11-23, 2026-11-23T07:00:00Z)")
            return None
        try:
            start = to_ms(parse_iso(value))
        except (ValueError, OverflowError):
            self.note(path, "Not an ISO 8601 date or time (2026-11-23, 2026-11-23T07:00:00Z)", "invalid_string")
            return None
        return start, start + (_DAY_MS if _DATE.fullmatch(value) else 1)

    def _mistyped(self, path: str, value: Any, message: str) -> None:
        self.note(path, "Required" if value is None else message, "invalid_type")


def as_double(value: float) -> float:
    """The number as a double, within what doubles can hold."""
    try:
        double = float(value)
    except OverflowError:
        double = math.copysign(math.inf, value)
    return max(-LARGEST, min(LARGEST, double))


def decode_members(text: bytes) -> Any:
    """The JSON value, whatever its numbers are."""
    return json.loads(text, parse_int=_number, parse_float=_number)


def _number(text: str) -> float:
    return as_double(float(text))
