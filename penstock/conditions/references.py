"""In which order segments that refer to each other are computed. Pure."""

from collections.abc import Iterable, Mapping

from penstock.conditions.tree import Condition, segment_ids

Catalog = Mapping[str, Condition | None]
"""The conditions of a project's segments, by id; None where the membership is computed elsewhere."""

MAX_LAYERS = 32
"""Segments may refer to others, which refer to others, and so on: each step is a statement around the one before, and
the engine takes less than a hundred of these."""


def layers(wanted: Iterable[str], catalog: Catalog) -> list[list[str]]:
    """The segments with a condition that are wanted, also by way of others; each layer refers to those before it only.

    Those that lead back to themselves are in none. There may be more layers than the engine takes.
    """
    left = _referred(wanted, catalog)
    found = _peeled(left)
    for id_ in [id_ for id_ in left if id_ in _reached(id_, left)]:
        del left[id_]
    return found + _peeled(left)


def steps(referred: Mapping[str, set[str]]) -> int:
    """How long the longest way is from one to another; of those that do not lead back to themselves."""
    return len(_peeled({id_: others & referred.keys() for id_, others in referred.items()}))


def _referred(wanted: Iterable[str], catalog: Catalog) -> dict[str, set[str]]:
    """All that are reached, with what each of them refers to."""
    referred: dict[str, set[str]] = {}
    left = set(wanted)
    while left:
        id_ = left.pop()
        if condition := catalog.get(id_):
            referred[id_] = segment_ids(condition)
            left |= referred[id_] - referred.keys()
    return referred


def _peeled(left: dict[str, set[str]]) -> list[list[str]]:
    """Takes off, layer by layer, what refers to nothing that is left; in an order that is always the same."""
    found = []
    while layer := sorted(id_ for id_, others in left.items() if not others & left.keys()):
        found.append(layer)
        for id_ in layer:
            del left[id_]
    return found


def _reached(id_: str, referred: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = {id_}
    while left:
        new = referred.get(left.pop(), set()) - found
        found |= new
        left |= new
    return found
