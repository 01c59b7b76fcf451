"""Where the first copy of each derived id stands in the log: more than memory may hold, so in a temporary file."""

import sqlite3

_CACHE_KIBIBYTES = 64 << 10


class FirstCopies:
    """Is told of the copies in the order of the log. One thread's use only; to be closed."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)  # SQLite's own name for a file that nobody sees
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute(f"PRAGMA cache_size=-{_CACHE_KIBIBYTES}")
        self._connection.execute(
            "CREATE TABLE copies (id BLOB, part INTEGER, at INTEGER, idx INTEGER, PRIMARY KEY (id, part)) WITHOUT ROWID"
        )
        self._connection.execute("BEGIN")

    def close(self) -> None:
        """Removes the file."""
        self._connection.close()

    def is_first(self, id_: int, partition: int, offset: int, index: int) -> bool:
        """Whether no copy was told of that stands elsewhere; the same one may be told of again."""
        key = id_.to_bytes(16)
        told = self._connection.execute(
            "INSERT OR IGNORE INTO copies VALUES (?, ?, ?, ?)", (key, partition, offset, index)
        )
        if told.rowcount:
            return True
        first = self._connection.execute("SELECT at, idx FROM copies WHERE id = ? AND part = ?", (key, partition))
        return bool(first.fetchone() == (offset, index))
