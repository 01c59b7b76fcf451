"""Shows on a terminal how far long work is: one line on stderr, which the next one replaces."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

_ERASE_LINE = "\r\x1b[2K"


@contextmanager
def watching() -> Iterator[Callable[[str], None]]:
    """What takes the lines; where stderr is no terminal it shows none. The last one is gone at the end."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        yield lambda line: typer.echo(f"{_ERASE_LINE}{line}", err=True, nl=False)
    finally:
        typer.echo(_ERASE_LINE, err=True, nl=False)
