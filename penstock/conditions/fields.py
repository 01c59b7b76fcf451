"""One filter: its field decides which operators it has, and what their values are. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from penstock.conditions.faults import Faults
from penstock.conditions.tree import (
    DataFilter,
    EmailFilter,
    EventFilter,
    Filter,
    MomentFilter,
    Operator,
    SegmentFilter,
    SubscribedFilter,
)
from schemas.ids import is_uuid
from schemas.names import MAX_NAME

MAX_PATH = 255
MAX_WHERE = 20
MAX_KEYS = 8
"""Of a path: each level makes the statement longer."""

_DATA, _EVENT, _EMAIL, _SEGMENT, _TRIGGER = "data.", "event.", "email.", "segment.", "trigger.data."
_MAIL_EVENTS = ("sent", "delivery", "open", "click", "bounce", "complaint")

_EQUALITY = (Operator.EQUALS, Operator.NOT_EQUALS)
_ORDER = (Operator.GREATER, Operator.GREATER_OR_EQUAL, Operator.LESS, Operator.LESS_OR_EQUAL)
_SPANS = (Operator.WITHIN, Operator.OLDER)
_CONTAINS = (Operator.CONTAINS, Operator.NOT_CONTAINS)
_EXISTENCE = (Operator.EXISTS, Operator.NOT_EXISTS)
_EVER = (Operator.TRIGGERED, Operator.NOT_TRIGGERED)
_EVER_WITHIN = (Operator.TRIGGERED_WITHIN, Operator.NOT_TRIGGERED_WITHIN, Operator.TRIGGERED_OLDER)
_COUNTS = (
    Operator.COUNT_EQUALS,
    Operator.COUNT_GREATER,
    Operator.COUNT_GREATER_OR_EQUAL,
    Operator.COUNT_LESS,
    Operator.COUNT_LESS_OR_EQUAL,
)
_MEMBERSHIP = (Operator.MEMBER, Operator.NOT_MEMBER)

Members = Mapping[str, Any]
_Read = Callable[[Faults, Members, str, Operator], Filter | None]


def read_filter(faults: Faults, members: Members, path: str, *, with_trigger: bool) -> Filter | None:
    """The filter, or None where it is wrong, which is noted."""
    field = members.get("field")
    if not isinstance(field, str):
        faults.note(f"{path}.field", "Required" if field is None else "Must be a string", "invalid_type")
        return None
    if field in _PLAIN:
        operators, read = _PLAIN[field]
        operator = _operator(faults, members, path, operators)
        return None if operator is None else read(faults, members, path, operator)
    if field.startswith(_TRIGGER) and not with_trigger:
        message = "trigger.data can be asked for in a workflow's trigger only"
    elif field.startswith((_DATA, _TRIGGER)):
        return _data(faults, members, path, field)
    elif (name := _event_name(field)) is not None:
        return _event(faults, members, path, name)
    elif field.startswith(_SEGMENT):
        return _segment(faults, members, path, field[len(_SEGMENT) :])
    else:
        message = _fields(with_trigger)
    faults.note(f"{path}.field", message, "invalid_enum_value")
    return None


def _fields(with_trigger: bool) -> str:
    mails = "|".join(_MAIL_EVENTS)
    known = ["email", "subscribed", "createdAt", "updatedAt", "data.<path>", "event.<name>", f"email.<{mails}>"]
    return f"Must be one of {', '.join(known)}, segment.<id>{', trigger.data.<path>' if with_trigger else ''}"


def _operator(faults: Faults, members: Members, path: str, known: tuple[Operator, ...]) -> Operator | None:
    text = members.get("operator")
    if isinstance(text, str) and text in known:
        return Operator(text)
    message, code = (
        f"Must be one of {', '.join(known)}",
        "invalid_enum_value" if isinstance(text, str) else "invalid_type",
    )
    faults.note(f"{path}.operator", message if text is not None else f"Required: {message[8:]}", code)
    return None


def _email(faults: Faults, members: Members, path: str, operator: Operator) -> Filter | None:
    value = faults.text(f"{path}.value", members.get("value"))
    return None if value is None else EmailFilter(operator, value.lower())


def _subscribed(faults: Faults, members: Members, path: str, operator: Operator) -> Filter | None:
    value = faults.flag(f"{path}.value", members.get("value"))
    return None if value is None else SubscribedFilter(operator, value)


def _moment(field: Literal["createdAt", "updatedAt"]) -> _Read:
    def read(faults: Faults, members: Members, path: str, operator: Operator) -> Filter | None:
        if operator in _SPANS:
            span_ms = faults.span(path, members)
            return None if span_ms is None else MomentFilter(field, operator, span_ms=span_ms)
        stretch = faults.moment(f"{path}.value", members.get("value"))
        return None if stretch is None else MomentFilter(field, operator, *stretch)

    return read


_PLAIN: dict[str, tuple[tuple[Operator, ...], _Read]] = {
    "email": ((*_EQUALITY, *_CONTAINS), _email),
    "subscribed": (_EQUALITY, _subscribed),
    "createdAt": ((*_EQUALITY, *_ORDER, *_SPANS), _moment("createdAt")),
    "updatedAt": ((*_EQUALITY, *_ORDER, *_SPANS), _moment("updatedAt")),
}


def _data(faults: Faults, members: Members, path: str, field: str) -> DataFilter | None:
    is_of_trigger = field.startswith(_TRIGGER)
    keys = tuple(field[len(_TRIGGER if is_of_trigger else _DATA) :].split("."))
    if not all(keys) or len(field) > MAX_PATH:
        message = f"The path in data has keys between single dots, and the field at most {MAX_PATH} characters"
        faults.note(f"{path}.field", message, "invalid_string")
    elif len(keys) > MAX_KEYS:
        faults.note(f"{path}.field", f"The path in data has at most {MAX_KEYS} keys", "too_big")
    operator = _operator(faults, members, path, (*_EQUALITY, *_ORDER, *_SPANS, *_CONTAINS, *_EXISTENCE))
    if operator is None or operator in _EXISTENCE:
        return None if operator is None else DataFilter(keys, operator, is_of_trigger=is_of_trigger)
    if operator in _SPANS:
        span_ms = faults.span(path, members)
        return None if span_ms is None else DataFilter(keys, operator, None, span_ms, is_of_trigger)
    value = faults.scalar(f"{path}.value", members.get("value"), ordered=operator in _ORDER)
    return None if value is None else DataFilter(keys, operator, value, is_of_trigger=is_of_trigger)


def _event_name(field: str) -> str | None:
    if field.startswith(_EVENT):
        return field[len(_EVENT) :]
    return field if field.startswith(_EMAIL) and field[len(_EMAIL) :] in _MAIL_EVENTS else None


def _event(faults: Faults, members: Members, path: str, name: str) -> EventFilter | None:
    if not 1 <= len(name) <= MAX_NAME:
        message = f"The event's name has 1 to {MAX_NAME} characters"
        faults.note(f"{path}.field", message, "too_big" if name else "too_small")
    operator = _operator(faults, members, path, (*_EVER, *_EVER_WITHIN, *_COUNTS))
    where = _where(faults, members, path)
    if operator is None:
        return None
    if operator in _EVER:
        return EventFilter(name, operator, where=where)
    if operator in _EVER_WITHIN:
        span_ms = faults.span(path, members)
        return None if span_ms is None else EventFilter(name, operator, span_ms=span_ms, where=where)
    count = faults.count(f"{path}.value", members.get("value"))
    span_ms = _within(faults, members, path)
    return None if count is None else EventFilter(name, operator, count, span_ms, where)


def _within(faults: Faults, members: Members, path: str) -> int | None:
    within = members.get("within")
    if within is None:
        return None
    if not isinstance(within, dict):
        faults.note(f"{path}.within", "Must be an object with value and unit", "invalid_type")
        return None
    return faults.span(f"{path}.within", within)


def _where(faults: Faults, members: Members, path: str) -> tuple[DataFilter, ...]:
    where = members.get("where")
    if where is None:
        return ()
    if not isinstance(where, list):
        faults.note(f"{path}.where", "Must be an array of filters on data.<path>", "invalid_type")
        return ()
    if len(where) > MAX_WHERE:
        faults.note(f"{path}.where", f"Must have at most {MAX_WHERE} filters", "too_big")
        return ()
    read = [_of_event_data(faults, one, f"{path}.where[{index}]") for index, one in enumerate(where)]
    return tuple(one for one in read if one is not None)


def _of_event_data(faults: Faults, value: Any, path: str) -> DataFilter | None:
    field = value.get("field") if isinstance(value, dict) else None
    if isinstance(field, str) and field.startswith(_DATA):
        return _data(faults, value, path, field)
    if not isinstance(value, dict):
        faults.note(path, "Must be an object with field and operator", "invalid_type")
    elif not isinstance(field, str):
        faults.note(f"{path}.field", "Required" if field is None else "Must be a string", "invalid_type")
    else:
        faults.note(f"{path}.field", "Must be data.<path>: what the event's own data has", "invalid_enum_value")
    return None


def _segment(faults: Faults, members: Members, path: str, segment_id: str) -> SegmentFilter | None:
    if not is_uuid(segment_id):
        faults.note(f"{path}.field", "Must be segment. and the segment's id, a UUID", "invalid_string")
    operator = _operator(faults, members, path, _MEMBERSHIP)
    return None if operator is None else SegmentFilter(segment_id.lower(), operator)
