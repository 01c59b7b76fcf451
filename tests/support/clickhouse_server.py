"""A ClickHouse for tests, as a process: chDB behind ClickHouse's HTTP interface.

``clickhouse_bridge`` is the process and says what it does not prove: replication, ``ON CLUSTER``, asynchronous inserts,
users and passwords, streaming of results, compressed responses, query logs.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from tests.support.clickhouse_faults import Fault, ordered
from tests.support.services import REPOSITORY, Process, Service, ServiceUnavailable


class TakesFaults:
    """A bridge that is told over HTTP how to fail."""

    host: str
    port: int

    @contextmanager
    def faulty(self, *faults: Fault) -> Iterator[Callable[[], list[int]]]:
        """While it lasts, statements meet the faults; gives a function that tells how many each one hit so far.

        A bridge that is killed meanwhile comes back without them.
        """
        self._order("PUT", ordered(faults))
        try:
            yield lambda: self._order("GET")
        finally:
            with suppress(ConnectionRefusedError):  # it was killed
                self._order("PUT", ordered([]))

    def _order(self, method: str, body: bytes = b"") -> list[int]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request(method, "/faults", body)
            return list(json.loads(connection.getresponse().read()))
        finally:
            connection.close()


def pings(host: str, port: int) -> bool:
    """Whether ClickHouse's interface answers there.

    Raises:
        OSError, http.client.HTTPException: nobody does.
    """
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().read() == b"Ok.\n"
    finally:
        connection.close()


class BridgeServer(Service, TakesFaults):
    """One bridge; see ``Service`` for start, stop, kill, pause, resume, restart.

    ``clickhouse_connect.get_client(host=server.host, port=server.port)`` connects, with any user and password. Port and
    data stay over a stop or kill.

    Args:
        data_dir: The engine's files are in its ``data``, the log beside them. Default: a new temporary directory.
        port: Default: a free one.
        verbose: Log every statement with its time, instead of failing ones only.

    Attributes:
        url: ``http://127.0.0.1:port``.
    """

    name: ClassVar[str] = "clickhouse"

    def __init__(self, data_dir: Path | None = None, *, port: int | None = None, verbose: bool = False) -> None:
        super().__init__(data_dir, port=port)
        self.url = f"http://{self.host}:{self.port}"
        self._verbose = verbose

    def _prepare(self) -> Process:
        if importlib.util.find_spec("chdb") is None:
            raise ServiceUnavailable("the ClickHouse stand-in needs chDB: `pip install chdb`, or the extra `embedded`")
        options = ["--path", str(self.data_dir / "data"), "--host", self.host, "--port", str(self.port)]
        if self._verbose:
            options.append("--verbose")
        command = [sys.executable, "-m", "tests.support.clickhouse_bridge", *options]
        return Process(command, log_file=self.log_file, cwd=REPOSITORY)

    def _is_ready(self) -> bool:
        try:
            return pings(self.host, self.port)
        except (OSError, http.client.HTTPException):
            return False
