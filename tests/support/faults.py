"""Tables that fail on purpose: a crash or a lost answer at one statement of the writer's protocol."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.clickhouse import Tables
from penstock.clickhouse.contract import Parameter, Row
from penstock.clickhouse.gateway import ClientTables


class Crash(BaseException):
    """The process is gone: nothing in the product may catch it."""


def crash_points(statements: Sequence[str]) -> list[int]:
    """Where a crash leaves tables that no other crash leaves: before each statement that changes any, and at the end.

    To crash after a statement, or before one that only asks, is to crash before the next one that changes something.
    """
    return [*[at for at, statement in enumerate(statements) if statement != "select"], len(statements)]


class FaultyTables:
    """Passes every call on, but for one.

    Args:
        at: the number of the statement that fails, from 0; None for never.
        after: whether it has its effect before it fails.
        error: what it raises.
        before: called with each statement before it runs, to let something happen in between.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        at: int | None = None,
        after: bool = False,
        error: Callable[[], BaseException] = Crash,
        before: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._tables = tables
        self._at = at
        self._after = after
        self._error = error
        self._before = before
        self.statements: list[str] = []
        self._numbers = itertools.count()  # several threads take them

    def _run(self, what: str, call: Callable[[], list[Row]]) -> list[Row]:
        self._before(what)
        self.statements.append(what)
        hit = next(self._numbers) == self._at
        if hit and not self._after:
            raise self._error()
        rows = call()
        if hit:
            raise self._error()
        return rows

    def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        """See `Tables`."""
        return self._run("select", lambda: self._tables.select(sql, parameters))

    def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
        """See `Tables`."""

        def call() -> list[Row]:
            self._tables.insert(table, lines, token=token)
            return []

        self._run(f"insert {table}", call)

    def delete(self, table: str, condition: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """See `Tables`."""

        def call() -> list[Row]:
            self._tables.delete(table, condition, parameters)
            return []

        self._run(f"delete {table}", call)

    def execute(self, statement: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """See `Tables`."""

        def call() -> list[Row]:
            self._tables.execute(statement, parameters)
            return []

        self._run(statement, call)

    def create_database(self) -> None:
        """See `Tables`."""
        self._tables.create_database()

    def close(self) -> None:
        """See `Tables`."""


class FaultyDatabases(FaultyTables):
    """The first tables and those beside them, with one count of statements."""

    def __init__(self, first: ClientTables, **faults: Any) -> None:
        super().__init__(first, **faults)
        self._first = first
        self.database = first.database

    def beside(self, database: str) -> Tables:
        """See `penstock.clickhouse.generations.Databases`."""
        made = FaultyTables(self._first.beside(database))
        made._run = self._run  # type: ignore[method-assign] # all statements count together
        return made
