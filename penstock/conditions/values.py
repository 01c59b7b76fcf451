"""JSON values in ClickHouse's terms: members of objects, and comparisons of types and values. Texts of SQL; pure.

The engine's parser turns away an object with a number beyond the doubles, and makes a string of an integer beyond 64
bits; and it spells numbers in its own way, so what it gave out is no safer than what was sent. Whatever may have such a
number goes through `readable` before it is parsed.

A value is kept as one text that most comparisons need to look at once only: a string is an `s` and the string itself,
null and what is lacking are "", all else is its JSON.

Arguments that stand in the text several times are names of columns; to name an expression, it is made a column, or a
lambda's argument.
"""

from penstock.conditions.bound import Bound
from penstock.conditions.faults import LARGEST
from penstock.conditions.tree import DataFilter, Operator, Scalar

_LARGE_NUMBER = "[0-9]{19}|[eE][+-]?[0-9]{3}"
_TOKENS = '(?s)"(?:[^"\\\\\\\\]|\\\\\\\\.)*"|-?[0-9][0-9.eE+-]*|[^"0-9-]+'
_ISO = (
    "^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    "([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
    "([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?$"
)
"""What `schemas.times.parse_iso` takes; whether the month has that day is left to the engine."""

_ORDERS = {
    Operator.GREATER: ">",
    Operator.GREATER_OR_EQUAL: ">=",
    Operator.LESS: "<",
    Operator.LESS_OR_EQUAL: "<=",
}


def readable(json: str) -> str:
    """The JSON in a column, with numbers that the parser reads: none without an exponent, and none beyond the doubles.

    What is too close to zero becomes that.
    """
    double = f"printf('%.16e', least(greatest(toFloat64OrZero(token), -{LARGEST!r}), {LARGEST!r}))"
    tokens = f"arrayMap(token -> if(match(token, '^-?[0-9]'), {double}, token), extractAll({json}, '{_TOKENS}'))"
    return f"if(match({json}, '{_LARGE_NUMBER}'), arrayStringConcat({tokens}), {json})"


def members(json: str) -> str:
    """The members of an object that is readable, as pairs in their order; none of what is no object."""
    return f"JSONExtractKeysAndValuesRaw({json})"


def last_of(pairs: str, key: str) -> str:
    """The JSON of a key's value: of several that are equal the last one counts. "" where there is none."""
    return f"tupleElement(arrayLast(one -> one.1 = {key}, {pairs}), 2)"


def plain(json: str) -> str:
    """The value, see the module, of the JSON in a column."""
    string = f"concat('s', JSONExtractString({json}))"
    return f"multiIf(startsWith({json}, '\"'), {string}, {json} = 'null', '', {readable(json)})"


def value_at(json: str, keys: str) -> str:
    """The value at a path within JSON, or within a value.

    Args:
        json: any expression.
        keys: an array; "" for none.
    """
    step = last_of(members(readable("inner")), "key")
    found = f"arrayFold((inner, key) -> {step}, {keys}, {json})" if keys else json
    return f"arrayMap(inner -> {plain('inner')}, [{found}])[1]"


def holds_of(one: DataFilter, value: str, now_ms: int, bound: Bound) -> str:
    """Whether a filter holds of a value that is any expression."""
    return f"arrayExists(value -> {holds(one, 'value', now_ms, bound)}, [{value}])"


def holds(one: DataFilter, value: str, now_ms: int, bound: Bound) -> str:
    """Whether a filter holds of the value in a column."""
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
    items = f"arrayMap(inner -> {plain('inner')}, JSONExtractArrayRaw({value}))"
    in_array = f"(startsWith({value}, '[') AND arrayExists(item -> {_equals('item', wanted, bound)}, {items}))"
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
