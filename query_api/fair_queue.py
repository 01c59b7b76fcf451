"""Who waits, and whose turn is next: projects in turn, and within one the first come. No clock, no event loop."""

from collections import deque
from typing import Generic, TypeVar

from penstock.overload import is_over_share

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A bounded queue in which a project waits for the other projects, and not for all that they ask."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._size = 0
        self._lines: dict[str, deque[T]] = {}
        """What waits, by project; the project whose turn it is comes first. None is empty."""

    def __len__(self) -> int:
        return self._size

    def put(self, project_id: str, item: T) -> bool:
        """Lines the item up; False where there is no room for it, or others need it."""
        line = self._lines.get(project_id)
        held, holders = (0, len(self._lines) + 1) if line is None else (len(line), len(self._lines))
        total = self._size + 1
        if total > self._bound:
            return False
        if held and is_over_share(held=held + 1, total=total, bound=self._bound, holders=holders):
            return False
        self._lines.setdefault(project_id, deque()).append(item)
        self._size = total
        return True

    def take(self) -> T | None:
        """The next item; its project then comes after all others."""
        if not self._lines:
            return None
        project_id = next(iter(self._lines))
        line = self._lines.pop(project_id)
        item = line.popleft()
        if line:
            self._lines[project_id] = line
        self._size -= 1
        return item

    def discard(self, project_id: str, item: T) -> None:
        """Takes the item out, where it still waits."""
        line = self._lines.get(project_id)
        if line is None or item not in line:
            return
        line.remove(item)
        if not line:
            del self._lines[project_id]
        self._size -= 1
