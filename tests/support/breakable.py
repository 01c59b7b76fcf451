"""What tests ask of the services that they break, whether these are processes of this machine or containers."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from tests.support.clickhouse_faults import Fault


class Breakable(Protocol):
    """A service that keeps its data and its port, whatever becomes of it."""

    @property
    def running(self) -> bool:
        """Also while it is paused."""

    def start(self) -> None:
        """Starts it, and waits until it answers."""

    def stop(self) -> int:
        """Asks it to end; its exit code."""

    def kill(self) -> None:
        """Ends it at once."""

    def pause(self) -> None:
        """It answers nothing, while connections stay open."""

    def resume(self) -> None:
        """It goes on."""

    def restart(self, *, kill: bool = False) -> None:
        """Ends it if it runs (gracefully, or at once), and starts it."""
        if self.running:
            if kill:
                self.kill()
            else:
                self.stop()
        self.start()


class Broker(Breakable, Protocol):
    """Kafka, of one node."""

    bootstrap_servers: str


class ClickHouseService(Breakable, Protocol):
    """ClickHouse's HTTP interface."""

    url: str


class Bridge(ClickHouseService, Protocol):
    """chDB behind it, which can be told to fail."""

    def faulty(self, *faults: Fault) -> AbstractContextManager[Callable[[], list[int]]]:
        """While it lasts, statements meet the faults; gives a function that tells how many each one hit so far."""
