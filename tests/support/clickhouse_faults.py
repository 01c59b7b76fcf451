"""What a ClickHouse does wrong on purpose: the bridge's answers to some statements, as a test orders them.

`BridgeServer.faulty` orders them in the test's process, the bridge asks `Faults` before each statement. No chDB here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Effect = Literal["none", "some", "all"]


@dataclass(frozen=True)
class Fault:
    """What happens to statements.

    Attributes:
        statement: Hits every statement whose text contains this.
        skip: So many of them pass first.
        times: So many are hit then; None for all.
        delay_seconds: What is hit waits so long before anything else, or until the faults are taken back.
        code: ClickHouse's error number in the answer; None for no error.
        drop: The connection is closed without an answer.
        effect: What a statement does before its failure is told: nothing; all; or what a server that dies within an
            insert leaves, rows in some tables and not in others (half of the materialized views see nothing of it; for
            that moment no other statement may insert).
    """

    statement: str
    skip: int = 0
    times: int | None = 1
    delay_seconds: float = 0
    code: int | None = None
    drop: bool = False
    effect: Effect = "none"

    @property
    def fails(self) -> bool:
        return self.code is not None or self.drop


class Faults:
    """The faults in force, and how often each was met. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._met: list[int] = []
        self._taken_back = threading.Event()

    def set(self, ordered: bytes) -> None:
        """Put those of a request's body into force instead of all others."""
        with self._lock:
            self._faults = [Fault(**one) for one in json.loads(ordered)]
            self._met = [0] * len(self._faults)
            self._taken_back.set()
            self._taken_back = threading.Event()

    def wait(self, seconds: float) -> None:
        """A fault's delay."""
        self._taken_back.wait(seconds)

    def report(self) -> bytes:
        """How many statements each fault hit."""
        with self._lock:
            return json.dumps(
                [max(0, met - one.skip) for one, met in zip(self._faults, self._met, strict=True)]
            ).encode()

    @property
    def armed(self) -> bool:
        return bool(self._faults)

    def hit(self, statement: bytes) -> Fault | None:
        """The first fault that this statement falls under."""
        with self._lock:
            for number, fault in enumerate(self._faults):
                if fault.statement.encode() in statement and self._counts(number, fault):
                    return fault
        return None

    def _counts(self, number: int, fault: Fault) -> bool:
        last = None if fault.times is None else fault.skip + fault.times
        if last is not None and self._met[number] >= last:
            return False
        self._met[number] += 1
        return self._met[number] > fault.skip


def ordered(faults: Sequence[Fault]) -> bytes:
    """The body that `Faults.set` reads."""
    return json.dumps([asdict(fault) for fault in faults]).encode()
