"""When events happened, as counters count them."""

from collections import Counter
from collections.abc import Iterable

from consumers.expected import ExpectedEvent
from schemas.times import parse_iso, to_ms

Second = tuple[int, str, str, int]
"""A partition, project, name and second since 1970."""


def seconds_of(partition: int, events: Iterable[ExpectedEvent]) -> Counter[Second]:
    """How many events each second has; one without a time that can be read is in none: the tables refuse it."""
    found: Counter[Second] = Counter()
    for event in events:
        try:
            second = to_ms(parse_iso(event.line.occurred_at)) // 1000
        except ValueError:
            continue
        found[partition, event.line.project_id, event.line.name, second] += 1
    return found
