"""The tables' DDL: numbered migrations, never edited after release, and `current.sql`, what they add up to."""

import re
from dataclasses import dataclass
from importlib.resources import files

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql\Z")
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file.

    Attributes:
        version: its number, from 1, without gaps.
        name: the rest of the file's name.
        statements: each runs on its own; all are idempotent, so an interrupted migration is simply run again.
    """

    version: int
    name: str
    statements: tuple[str, ...]


def _statements(text: str) -> tuple[str, ...]:
    without_comments = _COMMENT.sub("", text)
    return tuple(part.strip() for part in without_comments.split(";") if part.strip())


def migrations() -> list[Migration]:
    """All migrations, in order."""
    found = []
    for file in files(__package__).iterdir():
        if match := _NAME.match(file.name):
            found.append(Migration(int(match[1]), match[2], _statements(file.read_text(encoding="utf-8"))))
    return sorted(found, key=lambda migration: migration.version)


def current_sql() -> str:
    """The text of `current.sql`."""
    return (files(__package__) / "current.sql").read_text(encoding="utf-8")
