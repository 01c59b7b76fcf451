"""What a condition says of a contact, in plain Python over what was told of it; the compiled SQL must say the same."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.times import parse_iso, to_ms

_IGNORED = {"id", "email", "plunk_id", "plunk_email", "unsubscribeUrl", "subscribeUrl", "manageUrl"}
_LARGEST = 1.7976931348623157e308
_UNIT_MS = {"minutes": 60_000, "hours": 3_600_000, "days": 86_400_000}
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Told:
    """An event of a contact.

    Attributes:
        data: JSON, as text; "" for none.
    """

    name: str
    ms: int
    data: str = ""
    subscribed: bool | None = None


@dataclass(slots=True)
class Someone:
    """A contact, and what was told of it, in the order of the log.

    Attributes:
        entered: the segments that it entered.
        left: those of them that it left again.
    """

    email: str
    told: list[Told] = field(default_factory=list)
    entered: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)


def parse(text: str) -> Any:
    """JSON, all its numbers as doubles."""
    return json.loads(text, parse_int=_double, parse_float=_double)


def _double(text: str) -> float:
    value = float(text)
    return math.copysign(_LARGEST, value) if math.isinf(value) else value


def data_of(one: Someone) -> dict[str, Any]:
    """The contact's data: of each key what the last event set."""
    found: dict[str, Any] = {}
    for _, told in sorted(enumerate(one.told), key=lambda pair: (pair[1].ms, pair[0])):
        if not told.data.startswith("{") or told.name.startswith("email."):
            continue
        for key, value in parse(told.data).items():
            passing = isinstance(value, dict) and "value" in value and value.get("persistent") is False
            if key not in _IGNORED and value != "" and not passing:
                found[key] = value
    return {key: value for key, value in found.items() if value is not None}


def holds(
    condition: Mapping[str, Any], one: Someone, segments: Mapping[str, Any], now_ms: int, trigger_data: str = ""
) -> bool:
    """Whether the contact meets the condition.

    Args:
        segments: the conditions of others, by id; None where the membership is told.
        trigger_data: of the event that triggered, JSON as text; "" for none.
    """
    doubles = parse(json.dumps([condition, segments]))
    return _Evaluation(one, doubles[1], now_ms, parse(trigger_data or "null")).condition(doubles[0])


def referred(condition: Mapping[str, Any] | None) -> set[str]:
    """The segments that a condition refers to."""
    if condition is None:
        return set()
    found = set()
    for group in condition["groups"]:
        found |= referred(group.get("conditions"))
        found |= {one["field"][8:].lower() for one in group.get("filters") or [] if one["field"].startswith("segment.")}
    return found


class _Evaluation:
    def __init__(self, one: Someone, segments: Mapping[str, Any], now_ms: int, trigger_data: Any) -> None:
        self.one, self.segments, self.now_ms, self.trigger_data = one, segments, now_ms, trigger_data

    def condition(self, condition: Mapping[str, Any]) -> bool:
        groups = [self.group(group) for group in condition["groups"]]
        return all(groups) if condition["logic"] == "AND" else any(groups)

    def group(self, group: Mapping[str, Any]) -> bool:
        nested = [self.condition(group["conditions"])] if group.get("conditions") else []
        return all([self.filter(one) for one in group.get("filters") or []] + nested)

    def filter(self, one: Mapping[str, Any]) -> bool:
        name, operator = one["field"], one["operator"]
        if name == "email":
            value = one["value"].lower()
            found = value == self.one.email if operator in ("equals", "notEquals") else value in self.one.email
            return bool(found != operator.startswith("not"))
        if name == "subscribed":
            return bool((self.subscribed() == one["value"]) == (operator == "equals"))
        if name in ("createdAt", "updatedAt"):
            return self.moment(one, min(told.ms for told in self.one.told) if name == "createdAt" else self.updated())
        if name.startswith(("data.", "trigger.data.")):
            data = data_of(self.one) if name.startswith("data.") else self.trigger_data
            return compare(_at(data, name.partition("data.")[2].split(".")), one, self.now_ms)
        if name.startswith("segment."):
            return bool(self.member(name[8:].lower()) == (operator == "memberOfSegment"))
        return self.events(name.removeprefix("event."), one)

    def subscribed(self) -> bool:
        words = [(told.ms, place, told.subscribed) for place, told in enumerate(self.one.told)]
        said = [word for word in words if word[2] is not None]
        return bool(max(said)[2]) if said else True

    def updated(self) -> int:
        """When the last happened that said something of data or subscription; else when it became known."""
        says = [told.ms for told in self.one.told if told.subscribed is not None or self._has_data(told)]
        return max([min(told.ms for told in self.one.told), *says])

    def _has_data(self, told: Told) -> bool:
        return told.data.startswith("{") and not told.name.startswith("email.")

    def moment(self, one: Mapping[str, Any], ms: int) -> bool:
        operator, value = one["operator"], one["value"]
        if operator in ("within", "olderThan"):
            return bool((ms >= self.now_ms - value * _UNIT_MS[one["unit"]]) == (operator == "within"))
        start = _ms(value) or 0
        if operator in ("equals", "notEquals"):
            length = _DAY_MS if len(value) == 10 else 1
            return bool((start <= ms < start + length) == (operator == "equals"))
        return _ordered(operator, ms, start)

    def member(self, id_: str) -> bool:
        """Of a segment that leads back to itself, by way of others, nobody is a member."""
        if id_ not in self.segments or id_ in self.reached(id_):
            return False
        if self.segments[id_] is None:
            return id_ in self.one.entered - self.one.left
        return self.condition(self.segments[id_])

    def reached(self, id_: str) -> set[str]:
        """The segments that it leads to."""
        found: set[str] = set()
        new = referred(self.segments.get(id_))
        while new - found:
            found |= new
            new = {other for one in found for other in referred(self.segments.get(one))}
        return found

    def events(self, name: str, one: Mapping[str, Any]) -> bool:
        operator = one["operator"]
        counting = [
            told.ms
            for told in self.one.told
            if told.name == name
            and all(
                compare(_at(parse(told.data) if told.data else None, where["field"][5:].split(".")), where, self.now_ms)
                for where in one.get("where") or []
            )
        ]
        span = one if "Within" in operator or "Older" in operator else one.get("within")
        recent = counting
        if span:
            recent = [ms for ms in counting if ms >= self.now_ms - span["value"] * _UNIT_MS[span["unit"]]]
        match operator:
            case "triggered" | "triggeredWithin":
                return bool(recent)
            case "notTriggered" | "notTriggeredWithin":
                return not recent
            case "triggeredOlderThan":
                return bool(counting) and not recent
            case "countEquals":
                return bool(len(recent) == one["value"])
        return _ordered(operator.removeprefix("count").replace("G", "g").replace("L", "l"), len(recent), one["value"])


def _ordered(operator: str, left: Any, right: Any) -> bool:
    return bool(
        {
            "greaterThan": left > right,
            "greaterThanOrEqual": left >= right,
            "lessThan": left < right,
            "lessThanOrEqual": left <= right,
        }[operator]
    )


def _at(value: Any, keys: Sequence[str]) -> Any:
    """None where the value is lacking, which null is as well."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def compare(value: Any, one: Mapping[str, Any], now_ms: int) -> bool:
    """What a filter on data says of a value."""
    operator, wanted = one["operator"], one.get("value")
    if operator in ("exists", "notExists"):
        return bool((value is not None) == (operator == "exists"))
    if value is None:
        return False
    if operator in ("equals", "notEquals"):
        return bool(_same(value, wanted) == (operator == "equals"))
    if operator in ("contains", "notContains"):
        found = any(_same(item, wanted) for item in value) if isinstance(value, list) else False
        if isinstance(value, str) and isinstance(wanted, str):
            found = wanted in value
        return bool(found == (operator == "contains"))
    if operator in ("within", "olderThan"):
        ms = _ms(value) if isinstance(value, str) else None
        return ms is not None and bool((ms >= now_ms - one["value"] * _UNIT_MS[one["unit"]]) == (operator == "within"))
    return type(value) is type(wanted) and _ordered(operator, value, wanted)


def _ms(text: str) -> int | None:
    try:
        return to_ms(parse_iso(text))
    except ValueError:
        return None
