"""Contacts: requests to statements. Pure.

A page is found in two steps: first the addresses, in the order of the sort key, which is read only as far as they go;
then the rows of these. At 10 million contacts to group all of them takes seconds.
"""

# ruff: noqa: S608 - what callers choose are parameters; only tables, columns and integers of ours stand in the text

from collections.abc import Sequence

from penstock.clickhouse.contract import Parameter
from query_api.contact_params import ContactsRequest
from query_api.statements import Statement
from schemas.tables import CONTACTS

_IN_ORDER = "optimize_aggregation_in_order = 1"
_LAST_CHARACTER = "\U0010ffff"
_SURROGATES = (0xD800, 0xDFFF)

MAX_DATA_BYTES = 1 << 20
"""Of a contact: the objects that were set last. Anyone who may track can give an address new keys without end."""

MAX_PAGE_BYTES = 8 << 20
"""Of all data on a page, about: it ends with the contact that goes beyond."""

_ROWS = f"""
SELECT email, contact, created, toString(said), toString(at), kept
FROM
(
    SELECT
        *,
        sum(length(kept)) OVER (PARTITION BY email) AS own_bytes,
        sum(length(kept)) OVER (ORDER BY email RANGE UNBOUNDED PRECEDING) AS bytes
    FROM
    (
        SELECT
            *,
            sum(length(text)) OVER (PARTITION BY email ORDER BY at DESC ROWS UNBOUNDED PRECEDING) AS newer_bytes,
            if(newer_bytes <= {MAX_DATA_BYTES}, text, '') AS kept
        FROM
        (
            SELECT
                email,
                toString(any(contact_id)) AS contact,
                toUnixTimestamp64Milli(min(created_at)) AS created,
                max(subscription) AS said,
                max(version) AS at,
                argMaxMerge(data) AS text
            FROM {CONTACTS}
            WHERE project_id = {{{{project:UUID}}}} AND {{condition}}
            GROUP BY email, shape
        )
    )
)
WHERE bytes - own_bytes < {MAX_PAGE_BYTES}
ORDER BY email
"""

_SAID_LAST = "bitAnd(max(subscription), 1)"


def contact_rows(project_id: str, contact_id: str) -> Statement:
    """The rows of one contact, by its id."""
    sql = _ROWS.format(condition="contact_id = {contact:UUID} AND email != ''")
    return Statement("contact", sql, {"project": project_id, "contact": contact_id})


def rows_of_emails(project_id: str, emails: Sequence[str]) -> Statement:
    """The rows of some contacts, by their addresses and in the order of these; not of all where they are too large."""
    sql = _ROWS.format(condition="email IN {emails:Array(String)}")
    return Statement("contacts", sql, {"project": project_id, "emails": emails})


def next_emails(project_id: str, asked: ContactsRequest, after: str, looked_at: int) -> Statement:
    """Which of the next contacts behind `after` are wanted: one row.

    It has the last address that was looked at, how many were, and the addresses of those that are wanted, in order,
    one more than fit on the page. Who is not subscribed has a row that says so, whatever else it has: only such
    contacts are looked at where these are wanted.

    Args:
        looked_at: how many contacts at most.
    """
    conditions, values = _range(project_id, asked.search, after)
    first = f"GROUP BY email ORDER BY email LIMIT {looked_at}"
    chosen = f"{conditions} {first}"
    if asked.subscribed is False:
        left = f"SELECT email FROM {CONTACTS} WHERE {conditions} AND bitAnd(subscription, 1) = 0 {first}"
        chosen = f"project_id = {{project:UUID}} AND email IN ({left}) GROUP BY email"
    wanted = "1" if asked.subscribed is None else f"said = {int(asked.subscribed)}"
    sql = (
        f"SELECT max(email), count(), arraySlice(arraySort(groupArrayIf(email, {wanted})), 1, {asked.limit + 1}) "
        f"FROM (SELECT email, {_SAID_LAST} AS said FROM {CONTACTS} WHERE {chosen})"
    )
    return Statement("contact_emails", sql, values, _IN_ORDER)


def _range(project_id: str, search: str, after: str) -> tuple[str, dict[str, Parameter]]:
    """Which addresses: of the project, behind `after` (no contact has an empty one), beginning with `search`."""
    texts = ["project_id = {project:UUID}", "email > {after:String}"]
    values: dict[str, Parameter] = {"project": project_id, "after": after}
    if search:
        texts.append("email >= {first:String}")
        values["first"] = search
        if end := behind_prefix(search):
            texts.append("email < {end:String}")
            values["end"] = end
    return " AND ".join(texts), values


def behind_prefix(prefix: str) -> str:
    """The first text behind all that begin with `prefix`, in the order of UTF-8's bytes; "" where there is none.

    That order is the one of the characters' numbers.
    """
    kept = prefix.rstrip(_LAST_CHARACTER)
    if not kept:
        return ""
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES[1] + 1 if following == _SURROGATES[0] else following)
