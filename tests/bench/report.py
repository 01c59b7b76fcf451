"""How a benchmark says what it found: one line a figure, with the limit or peer of the same run beside it."""

import os
from pathlib import Path


def report(what: str, measured: float, unit: str, *, limit: float | None = None, least: float | None = None) -> None:
    """Prints a figure.

    Args:
        limit: what the machine gives at best, measured in the same run; printed as a ratio.
        least: what is promised; the caller asserts it.
    """
    line = f"{what:<58} {measured:>12,.1f} {unit:<10}"
    if limit:
        line += f" {measured / limit:6.1%} of {limit:,.0f}"
    if least is not None:
        line += f"   (promised: {least:,.0f})"
    print(f"\n{line}", flush=True)
    if log := os.environ.get("BENCH_LOG"):
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
