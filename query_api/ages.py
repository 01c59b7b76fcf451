"""When something of the registry was changed last. Pure."""

from schemas.times import parse_iso, to_ms, to_wire


def changed_at(before: str, now_ms: int) -> str:
    """The time of a change, as on the wire: another one than `before`, whatever the clock says.

    What was said of the former state is void because its time is no longer the newest one.
    """
    return to_wire(max(now_ms, to_ms(parse_iso(before)) + 1))
