"""What the log says of each contact: more than memory may hold, so in a temporary file, with the last ones at hand.

Data is kept as the tables keep it, one text for each set of keys, but it is decided here, with another reader of JSON,
which keys an object sets or deletes. Pure, but for the file.
"""

import sqlite3
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from consumers.memberships import Step
from consumers.subscriptions import Contact, Word
from schemas.contact_data import counting_members

_CACHE_KIBIBYTES = 64 << 10
_AT_HAND = 50_000
"""So many contacts are in memory."""

Place = tuple[int, int, int]
"""Partition, offset and index in the record."""

_Version = tuple[int, int, int]
"""When it happened (milliseconds since 1970), the offset, and the index in the record."""


class Person(msgspec.Struct):
    """One contact.

    Attributes:
        partition: where its events are.
        first_offset, last_offset: of what is known of it.
        created_ms: when the earliest of it happened.
        last: what was said last of the subscription.
        data: for each set of keys the last object that has it, and its version.
        memberships: the last change in each segment, by its id and slug.
    """

    email: str
    partition: int
    first_offset: int
    last_offset: int
    created_ms: int
    last: Word | None = None
    data: dict[str, tuple[_Version, str]] = {}
    memberships: dict[str, Step] = {}

    def take(self, data: str, version: _Version) -> None:
        """Merges the object of an event."""
        shape = _shape(tuple(counting_members(data)))
        known = self.data.get(shape)
        if known is None or known[0] < version:
            self.data[shape] = version, data


@lru_cache(maxsize=1024)  # an installation has few shapes
def _shape(keys: tuple[str, ...]) -> str:
    """The same for objects that set and delete the same keys, and no others: lengths tell where a key ends."""
    return "".join([f"{len(key)}:{key}" for key in sorted(keys)])


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Person).decode


class People:
    """All contacts. One thread's use only; to be closed."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)  # SQLite's own name for a file that nobody sees
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute(f"PRAGMA cache_size=-{_CACHE_KIBIBYTES}")
        self._connection.execute("CREATE TABLE people (id TEXT PRIMARY KEY, person BLOB) WITHOUT ROWID")
        self._connection.execute(
            "CREATE TABLE decided (part INTEGER, at INTEGER, idx INTEGER, what TEXT, PRIMARY KEY (part, at, idx)) "
            "WITHOUT ROWID"
        )
        self._connection.execute("BEGIN")
        self._at_hand: dict[str, Person] = {}

    def close(self) -> None:
        """Removes the file."""
        self._connection.close()

    def get(self, contact: Contact) -> Person | None:
        """The contact, if anything is known of it; what is changed in it stays."""
        key = _key(contact)
        person = self._at_hand.get(key)
        if person is None:
            rows = self._connection.execute("SELECT person FROM people WHERE id = ?", (key,)).fetchone()
            if rows is None:
                return None
            person = self._keep(key, _decode(rows[0]))
        return person

    def add(self, contact: Contact, person: Person) -> Person:
        """A contact of whom nothing was known."""
        return self._keep(_key(contact), person)

    def forget(self, contact: Contact) -> None:
        """Of whom nothing is known from now on."""
        key = _key(contact)
        self._at_hand.pop(key, None)
        self._connection.execute("DELETE FROM people WHERE id = ?", (key,))

    def decide(self, place: Place, what: str) -> None:
        """Remembers what was decided about a line."""
        self._connection.execute("INSERT OR REPLACE INTO decided VALUES (?, ?, ?, ?)", (*place, what))

    def decided(self, place: Place) -> str:
        """What was; "" for nothing."""
        sql = "SELECT what FROM decided WHERE part = ? AND at = ? AND idx = ?"
        found = self._connection.execute(sql, place).fetchone()
        return "" if found is None else str(found[0])

    def all(self) -> Iterator[tuple[Contact, Person]]:
        """Everybody."""
        self._put_away()
        for key, person in self._connection.execute("SELECT id, person FROM people"):
            project, _, contact = key.partition("/")
            yield (project, contact), _decode(person)

    def count(self) -> int:
        """How many they are."""
        self._put_away()
        return int(self._connection.execute("SELECT count(*) FROM people").fetchone()[0])

    def _keep(self, key: str, person: Person) -> Person:
        if len(self._at_hand) >= _AT_HAND:
            self._put_away()
        self._at_hand[key] = person
        return person

    def _put_away(self) -> None:
        rows = sorted((key, _encode(person)) for key, person in self._at_hand.items())
        self._connection.executemany("INSERT OR REPLACE INTO people VALUES (?, ?)", rows)
        self._at_hand.clear()


def _key(contact: Contact) -> str:
    return "/".join(contact)
