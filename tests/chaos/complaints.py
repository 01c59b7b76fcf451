"""What went against the contract. One complaint fails the run; the load goes on, to see whether more follows."""

import threading
from collections import Counter

_KEPT = 20


class Complaints:
    """Counts by kind, and the first few of each kind in words. Any thread may complain."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.texts: list[str] = []

    def add(self, kind: str, text: str) -> None:
        """Notes one."""
        with self._lock:
            self.counts[kind] += 1
            if self.counts[kind] <= _KEPT:
                self.texts.append(f"{kind}: {text}")

    def reset(self, counts: dict[str, int], texts: list[str]) -> None:
        """Forgets what was noted since the counts and texts were these."""
        with self._lock:
            self.counts, self.texts = Counter(counts), texts

    def __bool__(self) -> bool:
        return bool(self.counts)
