"""What is thought of an endpoint, by how it did: how much it may have at once, and whose room it takes. Pure."""

from dataclasses import dataclass
from enum import IntEnum

_PROOF = 8
"""So many good answers in a row, none of them late, are believed."""

_BELIEVED_SECONDS = 10.0
"""So long without requests."""

_FIRST_REST_SECONDS = 0.5
_LONGEST_REST_SECONDS = 30.0
_MOST_DOUBLINGS = 10


class Standing(IntEnum):
    """Each has the room of those before it, and more."""

    DOUBTED = 0
    UNPROVEN = 1
    TRUSTED = 2


@dataclass(slots=True)
class Repute:
    """Of one endpoint.

    Attributes:
        share: how many requests it may have at once, rounded down.
        late: how many take long already and have not ended.
        streak: how many did well in a row, in time.
        rests: how often it rested since it did well.
    """

    standing: Standing
    share: float = 1.0
    late: int = 0
    streak: int = 0
    rests: int = 0

    def is_late(self) -> None:
        """One more request takes long."""
        self.late += 1
        self.streak = 0
        self.standing = Standing.DOUBTED

    def did_well(self, *, was_late: bool, most: int) -> None:
        """A quick answer doubles the share in the time of one, up to `most`; a late one widens it little by little."""
        self.rests = 0
        self.streak += not was_late
        self.share = min(float(most), self.share + (1 / self.share if was_late else 1))
        if self.streak >= _PROOF and not self.late:
            self.standing = Standing.TRUSTED

    def did_badly(self) -> None:
        """Halves the share; an endpoint that has one only is doubted."""
        self.streak = 0
        self.share = max(1.0, self.share / 2)
        if self.share == 1:
            self.standing = Standing.DOUBTED

    def was_idle(self, seconds: float) -> None:
        """It had nothing to do so long, and may have died in the meantime."""
        if seconds > _BELIEVED_SECONDS:
            self.share, self.streak = 1.0, 0
            self.standing = min(self.standing, Standing.UNPROVEN)

    def rest_seconds(self) -> float:
        """How long it shall be left alone after it did badly; longer each time."""
        if self.share > 1:
            return 0.0
        pause = _FIRST_REST_SECONDS * 2.0**self.rests
        self.rests = min(self.rests + 1, _MOST_DOUBLINGS)
        return min(pause, _LONGEST_REST_SECONDS)
