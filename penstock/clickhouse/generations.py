"""Generations of tables: which ones are live, and how a rebuild puts new ones in their place.

The first generation lives in the database that the settings name, each later one in a database of its own beside it.
Which is live is one row in the first database, so new tables take the place of old ones in one step. Readers look at
it all the time, writers whenever they claim partitions: a rebuild takes all partitions from them before it changes the
row, and holds them off meanwhile.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from penstock.clickhouse.contract import Parameter, Row, Tables
from penstock.errors import TablesHeld, WriterFenced
from schemas.tables import GENERATIONS

FIRST = 1

_TRUSTED_SECONDS = 2.0

_SELECT = f"""
SELECT sequence, live, held_until > now64(3) FROM {GENERATIONS} ORDER BY sequence DESC LIMIT 1
"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of tables.

    Attributes:
        number: part of every insert's token, as a table's memory of tokens outlives its rows.
    """

    number: int
    tables: Tables


class Databases(Tables, Protocol):
    """Tables that know others on the same server; `penstock.clickhouse.gateway.ClientTables` are such."""

    database: str

    def beside(self, database: str) -> Tables:
        """The tables of another database; closed together with these."""
        ...


@dataclass(frozen=True, slots=True)
class _State:
    sequence: int = 0
    live: int = FIRST
    is_held: bool = False


class Generations:
    """All generations; `first` are the tables of the database that the settings name."""

    def __init__(self, first: Databases) -> None:
        self._first = first
        self._known: dict[int, Generation] = {FIRST: Generation(FIRST, first)}

    def get(self, number: int) -> Generation:
        """The generation of that number, whether its tables are there or not."""
        if number not in self._known:
            self._known[number] = Generation(number, self._first.beside(self.database(number)))
        return self._known[number]

    @property
    def shared(self) -> Tables:
        """The tables that all generations share: those of the first one that a rebuild leaves as they are."""
        return self._first

    def database(self, number: int) -> str:
        """The name of a generation's database."""
        return self._first.database if number == FIRST else f"{self._first.database}_{number}"

    def live(self) -> Generation:
        """The generation that is read.

        Raises:
            TablesUnavailable: see `Tables`.
        """
        return self.get(self._state().live)

    def for_writing(self) -> Generation:
        """The generation to claim partitions of.

        Raises:
            TablesHeld: a rebuild is about to change it.
            TablesUnavailable: see `Tables`.
        """
        state = self._state()
        if state.is_held:
            raise TablesHeld("A rebuild holds the tables; it takes seconds")
        return self.get(state.live)

    def hold(self, seconds: float, held: int | None = None) -> int:
        """Keeps writers from claiming partitions for so long, or until `release`.

        Args:
            held: what the hold that is prolonged returned; without it, a new one begins, whoever has another.

        Returns:
            A number by which this hold is known.

        Raises:
            WriterFenced: somebody else has begun another one meanwhile.
            TablesUnavailable: see `Tables`.
        """
        state = self._state_after(held)
        return self._write(state, state.live, seconds)

    def release(self, live: int, held: int | None = None) -> None:
        """Ends the hold; generation `live` is the one that counts from now on. `held` and errors as for `hold`."""
        self._write(self._state_after(held), live, 0)

    def _state_after(self, held: int | None) -> _State:
        state = self._state()
        if held is not None and state.sequence != held:
            raise WriterFenced("Another rebuild holds the tables")
        return state

    def _state(self) -> _State:
        rows = self._first.select(_SELECT)
        if not rows:
            return _State()
        sequence, live, is_held = (int(str(value)) for value in rows[0])
        return _State(sequence, live, bool(is_held))

    def _write(self, before: _State, live: int, held_seconds: float) -> int:
        sequence = before.sequence + 1
        # by the tables' clock, as that is what the hold is compared with
        until = self._first.select(f"SELECT now64(3) + toIntervalMillisecond({round(held_seconds * 1000)})")[0][0]
        row = {"sequence": sequence, "live": live, "held_until": until}
        self._first.insert(GENERATIONS, msgspec.json.encode(row))
        return sequence


class LiveTables:
    """The live tables as readers use them: see `Selectable`. `refresh` looks which ones these are."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._known: tuple[float, Tables] | None = None

    @property
    def shared(self) -> Tables:
        """See `Generations.shared`."""
        return self._generations.shared

    @property
    def shared_database(self) -> str:
        """Their database."""
        return self._generations.database(FIRST)

    def refresh(self) -> Tables:
        """The tables that are live now."""
        tables = self._generations.live().tables
        self._known = time.monotonic(), tables
        return tables

    def select(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        """See `Selectable`. A process that stood still looks first: the tables that it knew may be gone by now."""
        seen, tables = self._known or (0.0, None)
        if tables is None or time.monotonic() - seen > _TRUSTED_SECONDS:
            tables = self.refresh()
        return tables.select(sql, parameters)
