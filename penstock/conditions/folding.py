"""A row per contact, folded from the rows that the tables keep of it, as `schemas.contact_data` has it. SQL; pure.

A contact has a row for each shape of its data, and several where they are not merged yet. All of them are folded alike:
an older object of a shape has nothing that the newer one does not replace.
"""

# ruff: noqa: S608 - callers of the product choose nothing here; what they chose is bound already

from penstock.conditions.values import last_of, members, plain, readable
from schemas.tables import CONTACTS


def contact_rows(chosen: str, keys: str) -> str:
    """The columns `email`, `contact_id`, `log_partition`, `first_offset`, `created_ms`, `updated_ms`, `is_subscribed`.

    Args:
        chosen: the condition of the contacts' rows.
        keys: an array of keys of the data; the column `values` then has a value for each, see `values`; "" for none.
    """
    return (
        "SELECT email, any(contact) AS contact_id, any(part) AS log_partition, min(first) AS first_offset,"
        " min(created) AS created_ms, max(said) AS word, toUInt8(bitAnd(word, 1)) AS is_subscribed,"
        " greatest(created_ms, toInt64(bitShiftRight(word, 80)), toInt64(bitShiftRight(max(at), 80))) AS updated_ms"
        f"{_VALUES if keys else ''} FROM ({_said(chosen, keys)}) GROUP BY email"
    )


_VALUES = (
    ", arrayReverseSort(pair -> pair.1, groupArrayArray(pairs)) AS last_first"
    ", mapFromArrays(last_first.2, last_first.3) AS values"
)
"""Of a key that is several times in a map, the first value is found."""


def _said(chosen: str, keys: str) -> str:
    """What each row says; with keys also what of these, as triples of the version, the key and the value."""
    rows = (
        "SELECT email, contact_id AS contact, log_partition AS part, first_offset AS first,"
        " toUnixTimestamp64Milli(created_at) AS created, subscription AS said, version AS at"
        f"{', finalizeAggregation(data) AS text' if keys else ''}"
        f" FROM {CONTACTS} WHERE {chosen} AND email != ''"
    )
    if not keys:
        return rows
    asked = f"arrayReverse(arrayFilter(pair -> has({keys}, pair.1), {members(readable('text'))}))"
    last = f"arrayFilter((pair, nth) -> nth = 1 AND {_counts('pair.2')}, asked, arrayEnumerateUniq(asked.1))"
    return (
        f"SELECT * EXCEPT (text, asked), arrayMap(pair -> (at, pair.1, {plain('pair.2')}), {last}) AS pairs"
        f" FROM (SELECT *, {asked} AS asked FROM ({rows}))"
    )


def _counts(json: str) -> str:
    """Whether a member of an event's data says anything of the contact."""
    own = members(json)
    passing = f"{last_of(own, _PERSISTENT)} = 'false' AND arrayExists(one -> one.1 = 'value', {own})"
    return f"{json} != '\"\"' AND NOT (startsWith({json}, '{{') AND position({json}, {_PERSISTENT}) > 0 AND {passing})"


_PERSISTENT = "'persistent'"
