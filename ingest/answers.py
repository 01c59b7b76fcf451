"""The bodies of the answers, as bytes. The ids and times in them are ours, so nothing needs escaping."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from ingest.accept import Accepted
from ingest.batch import Outcome
from penstock.http import JSON_TYPE, RawHeaders, error_member
from schemas.position import Position, to_token

DONE = b'{"success":true}'
"""The answer to what is told by no caller of ours."""


def tracked(accepted: Accepted) -> bytes:
    """The answer to one event: its members, and the same again beside them for older clients."""
    flat = _members(accepted)
    return f'{{"success":true,"data":{{{flat}}},{flat}}}'.encode()


def _members(accepted: Accepted) -> str:
    return f'"contact":"{accepted.contact}","event":"{accepted.event}","timestamp":"{accepted.timestamp}"'


def batch(outcomes: Sequence[Outcome]) -> bytes:
    """The answer to a batch: one result per item."""
    results = [
        f"{{{_members(outcome)}}}"
        if isinstance(outcome, Accepted)
        else msgspec.json.encode({"error": error_member(outcome)}).decode()
        for outcome in outcomes
    ]
    accepted = sum([isinstance(outcome, Accepted) for outcome in outcomes])
    counts = f'"accepted":{accepted},"rejected":{len(outcomes) - accepted}'
    return f'{{"success":true,"data":{{{counts},"results":[{",".join(results)}]}}}}'.encode()


@lru_cache(maxsize=1024)  # the requests of one commit share a position
def _token(pairs: tuple[tuple[int, int], ...]) -> bytes:
    return to_token(dict(pairs)).encode()


def headers(position: Position) -> RawHeaders:
    """The headers of a write that was acknowledged."""
    return [JSON_TYPE, (b"x-position", _token(tuple(position.items())))]
