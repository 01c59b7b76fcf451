"""Which contacts a statement is about, as a condition on the rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.conditions.bound import Bound


@dataclass(frozen=True, slots=True)
class Scope:
    """Which contacts of a project are meant.

    Attributes:
        emails, contact_ids: of the same contacts, in any order; None for all.
        partitions: only contacts whose events are in these partitions of the log; None for all.
    """

    emails: Sequence[str] | None = None
    contact_ids: Sequence[str] | None = None
    partitions: Sequence[int] | None = None


class Rows:
    """The rows of a project's contacts, in any table that has the project, the partition, and one of the columns."""

    def __init__(self, project_id: str, scope: Scope, bound: Bound) -> None:
        self._project_id = project_id
        self._scope = scope
        self._bound = bound

    @property
    def listed(self) -> bool:
        """Whether the contacts are listed, so that they are found by their ids."""
        return self._scope.contact_ids is not None

    def by(self, column: Literal["email", "contact_id"]) -> str:
        """The condition, by the column that stands behind the project in the table's sort key."""
        parts = [f"project_id = {self._bound.uuid(self._project_id)}"]
        listed = self._scope.emails if column == "email" else self._scope.contact_ids
        if listed is not None:
            parts.append(f"{column} IN {self._bound.texts(listed, 'String' if column == 'email' else 'UUID')}")
        if self._scope.partitions is not None:
            numbers = ", ".join(str(int(number)) for number in self._scope.partitions)
            parts.append(f"log_partition IN ({numbers})" if numbers else "0")
        return " AND ".join(parts)
