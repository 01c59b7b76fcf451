"""The condition language of segments and of workflows' triggers: read here, compiled to SQL by `compiling`."""

from penstock.conditions.reading import read_condition
from penstock.conditions.tree import Condition, event_names, passes_with_time, segment_ids

__all__ = ["Condition", "event_names", "passes_with_time", "read_condition", "segment_ids"]
