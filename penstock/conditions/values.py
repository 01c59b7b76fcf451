"""JSON values in ClickHouse's terms: members of objects, and comparisons of types and values. Texts of SQL; pure.

The engine's parser turns away an object with a number beyond the doubles, and makes a string of an integer beyond 64
bits. An object that may have such a number goes through `readable` first, which writes its numbers as doubles.

A value is written so that most comparisons are one step: a string is an `s` and the string itself, null and what is
lacking are "", all else is its JSON.
"""

from collections.abc import Sequence

from penstock.conditions.bound import Bound
from penstock.conditions.faults import LARGEST
from penstock.conditions.tree import DataFilter, Operator, Scalar

_SHORT = 40
"""Characters: a value that is longer is written once, and named where it stands more often."""

_LARGE_NUMBER = "[0-9]{19}|[eE][+-]?[0-9]{3}"
_TOKENS = '(?s)"(?:[^"\\\\\\\\]|\\\\\\\\.)*"|-?[0-9][0-9.eE+-]*|[^"0-9-]+'
_ISO = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "([Tt ][0-9]{2}:[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
)
_ORDERS = {
    Operator.GREATER: ">",
    Operator.GREATER_OR_EQUAL: ">=",
    Operator.LESS: "<",
    Operator.LESS_OR_EQUAL: "<=",
}


def readable(text: str) -> str:
    """An object's text, with numbers that the parser reads."""
    number = f"least(greatest(toFloat64OrZero(token), -{LARGEST!r}), {LARGEST!r})"
    token = f"if(match(token, '^-?[0-9]'), toString({number}), token)"
    return (
        f"if(match({text}, '{_LARGE_NUMBER}'), "
        f"arrayStringConcat(arrayMap(token -> {token}, extractAll({text}, '{_TOKENS}'))), {text})"
    )


def members(text: str) -> str:
    """The members of an object, as pairs in their order; none of what is no object."""
    return f"JSONExtractKeysAndValuesRaw({text})"


def last_of(pairs: str, key: str) -> str:
    """The value of a key: of several that are equal the last one counts."""
    return f"tupleElement(arrayLast(one -> one.1 = {key}, {pairs}), 2)"


def plain(value: str) -> str:
    """A value, see the module, of its JSON."""
    if len(value) > _SHORT:
        return f"arrayMap(json -> {plain('json')}, [{value}])[1]"
    return f"multiIf(startsWith({value}, '\"'), concat('s', JSONExtractString({value})), {value} = 'null', '', {value})"


def at_path(value: str, keys: Sequence[str]) -> str:
    """The value at a path of keys within JSON."""
    for key in keys:
        value = last_of(members(value), key)
    return plain(value)


def holds(one: DataFilter, value: str, now_ms: int, bound: Bound) -> str:
    """Whether a filter holds of a value."""
    if len(value) > _SHORT:
        return f"arrayMap(found -> {_holds(one, 'found', now_ms, bound)}, [{value}])[1]"
    return _holds(one, value, now_ms, bound)


def _holds(one: DataFilter, value: str, now_ms: int, bound: Bound) -> str:
    match one.operator:
        case Operator.EXISTS | Operator.NOT_EXISTS:
            return f"{value} {'!=' if one.operator is Operator.EXISTS else '='} ''"
        case Operator.EQUALS | Operator.NOT_EQUALS:
            return _unless(one.operator is Operator.NOT_EQUALS, value, _equals(value, one.value, bound))
        case Operator.CONTAINS | Operator.NOT_CONTAINS:
            return _unless(one.operator is Operator.NOT_CONTAINS, value, _contains(value, one.value, bound))
        case Operator.WITHIN | Operator.OLDER:
            return _aged(one, value, now_ms, bound)
    return _ordered(value, one.value, _ORDERS[one.operator], bound)


def _unless(is_negative: bool, value: str, found: str) -> str:
    """The negative form does not hold of a value that is lacking."""
    return f"({value} != '' AND NOT {found})" if is_negative else found


def _equals(value: str, wanted: Scalar | None, bound: Bound) -> str:
    if isinstance(wanted, bool):
        return f"({value} = '{'true' if wanted else 'false'}')"
    if isinstance(wanted, str):
        return f"({value} = {bound.text(f's{wanted}')})"
    return _ordered(value, wanted, "=", bound)


def _ordered(value: str, wanted: Scalar | None, order: str, bound: Bound) -> str:
    """Numbers compare with numbers only, strings with strings, in the order of their characters' numbers."""
    if isinstance(wanted, str):
        return f"(startsWith({value}, 's') AND {value} {order} {bound.text(f's{wanted}')})"
    return f"ifNull(toFloat64OrNull({value}) {order} {bound.number(float(wanted or 0))}, 0)"


def _contains(value: str, wanted: Scalar | None, bound: Bound) -> str:
    item = f"arrayExists(item -> {_equals(plain('item'), wanted, bound)}, JSONExtractArrayRaw({value}))"
    in_array = f"(startsWith({value}, '[') AND {item})"
    if not isinstance(wanted, str):
        return in_array
    return f"((startsWith({value}, 's') AND position({value}, {bound.text(wanted)}, 2) > 0) OR {in_array})"


def _aged(one: DataFilter, value: str, now_ms: int, bound: Bound) -> str:
    text = f"substring({value}, 2)"
    moment = f"parseDateTime64BestEffortOrNull(replaceOne(upper({text}), ',', '.'), 3, 'UTC')"
    order = ">=" if one.operator is Operator.WITHIN else "<"
    since = bound.integer(now_ms - one.span_ms)
    return (
        f"(startsWith({value}, 's') AND match({text}, '{_ISO}')"
        f" AND ifNull(toUnixTimestamp64Milli({moment}) {order} {since}, 0))"
    )
