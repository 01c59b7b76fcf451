"""What the tables do for the rest of the product, whichever engine holds them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

Parameter = str | int | Sequence[str]
Row = list[object]


class Selectable(Protocol):
    """Tables that can be read. Thread-safe; the call blocks, so it is not for the event loop."""

    def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        """The rows of a query.

        Args:
            sql: without FORMAT; `{name:Type}` stands for a parameter, which the server binds. Values never become text
                of the statement.
            parameters: times are passed as integers (milliseconds) and made a DateTime64 in the statement; lists go to
                arrays (an array's own spelling in a text would be quoted once too often).

        Returns:
            One list per row; text, numbers and null as JSON has them, every other type as its text.

        Raises:
            TablesUnavailable: the server does not answer, or cannot for now.
            TablesRefused: the statement is wrong.
        """
        ...


class Tables(Selectable, Protocol):
    """The tables of one database. Thread-safe; every call blocks, so none is for the event loop."""

    def insert(self, table: str, lines: bytes, *, token: str | None = None) -> None:
        """Inserts JSON lines whose members are columns; the whole of it as one block, or nothing.

        Args:
            token: the insert's identity. Where the table, or a view's target, has taken an insert with this token, it
                ignores this one: so an insert whose outcome is unknown is repeated, with exactly the same lines. None:
                every call inserts.

        Raises:
            TablesUnavailable: not known whether it was inserted; repeat it with the token.
            TablesRefused: nothing was inserted, and the same lines would be refused again.
        """
        ...

    def delete(self, table: str, condition: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """Deletes the rows that meet a condition; done when none is left.

        Args:
            parameters: see `select`.

        Raises:
            TablesUnavailable: not known how many are left; delete again.
            TablesRefused: the condition is wrong.
        """
        ...

    def execute(self, statement: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """Runs DDL, or whatever else answers nothing; done when it has its effect.

        Args:
            parameters: see `select`; not for DDL.

        Raises:
            TablesUnavailable, TablesRefused: see `select`.
        """
        ...

    def create_database(self) -> None:
        """Creates the database where it is missing. The only call that works without it."""
        ...

    def close(self) -> None:
        """Gives all connections back."""
        ...
