"""The rows of `contacts` as merges leave them, for those who compare: which were merged already makes no difference."""

# ruff: noqa: S608 - only names of ours, and conditions of ours, stand in the text

from schemas.tables import CONTACTS


def merged_rows(database: str = "", condition: str = "1") -> str:
    """A query of one row per contact and shape.

    Args:
        database: where the table is, if not in the current one.
        condition: of the table's rows.
    """
    table = f"{database}.{CONTACTS}" if database else CONTACTS
    return f"""
    SELECT
        project_id,
        email,
        shape,
        any(contact_id) AS contact,
        any(log_partition) AS log_partition,
        min(first_offset) AS first,
        max(last_offset) AS last,
        min(created_at) AS created,
        max(subscription) AS said,
        max(version) AS at,
        argMaxMerge(data) AS text
    FROM {table}
    WHERE {condition}
    GROUP BY project_id, email, shape
    """
