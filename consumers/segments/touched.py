"""The contacts of whom a stretch of the log says something: their segments are looked at anew."""

from collections.abc import Sequence

from penstock.clickhouse import Selectable
from penstock.clickhouse.contract import Parameter
from schemas.tables import CONTACT_CHANGES, EVENTS

_MANY_OFFSETS = 64
"""So few records are taken together, whatever they hold."""

_EVENTS_AT_ONCE = 20_000

_COUNTS = f"""
SELECT log_offset, count() FROM {EVENTS}
WHERE project_id IN {{projects:Array(UUID)}} AND log_partition = {{partition:UInt16}}
    AND log_offset > {{after:Int64}} AND log_offset <= {{through:Int64}}
GROUP BY log_offset ORDER BY log_offset LIMIT {_EVENTS_AT_ONCE}
SETTINGS max_threads = 1
"""  # noqa: S608 - constants

_TOUCHED = f"""
SELECT toString(project_id), toString(contact_id), any(email) FROM
(
    SELECT project_id, contact_id, email FROM {EVENTS}
    WHERE project_id IN {{projects:Array(UUID)}} AND log_partition = {{partition:UInt16}}
        AND log_offset > {{after:Int64}} AND log_offset <= {{through:Int64}}
    UNION ALL
    SELECT project_id, contact_id, email FROM {CONTACT_CHANGES}
    WHERE project_id IN {{projects:Array(UUID)}} AND log_partition = {{partition:UInt16}}
        AND log_offset > {{after:Int64}} AND log_offset <= {{through:Int64}}
)
GROUP BY project_id, contact_id
SETTINGS max_threads = 1
"""  # noqa: S608 - constants

Touched = dict[str, list[tuple[str, str]]]
"""By project, its contacts: id and address."""


def touched(
    tables: Selectable, projects: Sequence[str], partition: int, after: int, through: int
) -> tuple[Touched, int]:
    """The contacts of the projects of whom the log says something behind `after`.

    Returns:
        Them, and up to which offset that is, `through` at most: so much as can be looked at together.

    Raises:
        TablesUnavailable: see `Selectable`.
    """
    values: dict[str, Parameter] = {"projects": projects, "partition": partition, "after": after, "through": through}
    if through - after > _MANY_OFFSETS:
        values["through"] = through = _bound(tables, values, through)
    found: Touched = {}
    for project, contact, email in tables.select(_TOUCHED, values):
        found.setdefault(str(project), []).append((str(contact), str(email)))
    return found, through


def _bound(tables: Selectable, values: dict[str, Parameter], through: int) -> int:
    events = 0
    for offset, count in tables.select(_COUNTS, values):
        events += int(str(count))
        if events >= _EVENTS_AT_ONCE:
            return int(str(offset))
    return through
