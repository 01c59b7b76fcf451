"""The wall clock of processes under test, which a test may set while they run."""

from pathlib import Path

_HOOK = Path(__file__).parent / "set_clock"


class SetClock:
    """A clock that is right until it is set; `environment` is for the processes that shall have it."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock-offset"
        self._file.write_bytes(bytes(8))
        self.environment = {"PYTHONPATH": str(_HOOK), "TEST_CLOCK_OFFSET": str(self._file)}

    def set_off(self, seconds: int) -> None:
        """From now on it is so much ahead; behind where negative."""
        with self._file.open("r+b") as file:  # in place: the processes have it mapped
            file.write((seconds * 1_000_000_000).to_bytes(8, "little", signed=True))
