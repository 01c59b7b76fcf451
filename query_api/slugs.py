"""The slugs of segments, which name them in events. Pure."""

import re
from collections.abc import Iterator

from schemas.membership import MAX_SLUG

_BLANK = re.compile(r"\s")
_DROPPED = re.compile(r"[^a-z0-9_-]")
_NAMELESS = "segment"


def slug_of(name: str) -> str:
    """The slug of a name: lower case, blanks as `-`, and of the rest ASCII letters, digits, `_` and `-`."""
    kept = _DROPPED.sub("", _BLANK.sub("-", name.lower()))
    return kept[:MAX_SLUG] or _NAMELESS


def numbered(slug: str) -> Iterator[str]:
    """The slug, and what stands for it where it is taken: with `-2`, `-3` and so on, cut to the length of one."""
    yield slug
    number = 2
    while True:
        suffix = f"-{number}"
        yield slug[: MAX_SLUG - len(suffix)] + suffix
        number += 1
