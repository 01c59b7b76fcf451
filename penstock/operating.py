"""Operations on log and tables: long work that a command asks for, wherever the tables are open.

In the scaled-out form the command opens log and tables itself. In the embedded form the tables belong to one process:
to the running `penstock up`, which is asked over a socket in the data directory, or, where none runs, to the command.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from consumers.thread import CallThread
from penstock.clickhouse.generations import Generations
from penstock.clickhouse.migrate import migrate
from penstock.errors import PenstockError, StartError
from penstock.eventlog import EventLog
from penstock.opening import is_locked, is_scaled_out, locked_directory, make_log, make_tables
from penstock.settings import Settings

_SOCKET_NAME = "operator.sock"
_MAX_LINE_BYTES = 64 << 20

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Workplace:
    """What an operation works on; all of it is open."""

    settings: Settings
    log: EventLog
    generations: Generations


class Abandoned(Exception):
    """Nobody waits for the operation any more; raised by `Report` in the operation's thread."""


Report = Callable[[str], None]
"""Tells how far an operation is: one line, which replaces the one before. To be called about once a second."""

Arguments = Mapping[str, Any]

Operation = Callable[[Workplace, Arguments, Report], dict[str, Any]]
"""Blocks until it is done. Its result is what the command prints as JSON; it raises PenstockError where it fails."""

Operations = Mapping[str, Operation]


def operate(
    settings: Settings, operations: Operations, name: str, arguments: Arguments, report: Report
) -> dict[str, Any]:
    """Carries out an operation where the tables are, and returns its result.

    Raises:
        PenstockError: it failed; the text says why.
    """
    if not is_scaled_out(settings) and is_locked(settings.data_dir):
        return _ask(settings.data_dir, {"operation": name, "arguments": dict(arguments)}, report)
    with _opened(settings) as workplace:
        return operations[name](workplace, arguments, report)


@contextmanager
def _opened(settings: Settings) -> Iterator[Workplace]:
    with contextlib.ExitStack() as stack:
        if not is_scaled_out(settings):
            if not settings.data_dir.exists():
                raise StartError(f"There is nothing in {settings.data_dir}: no penstock has run there.")
            stack.enter_context(locked_directory(settings.data_dir))
        log = make_log(settings)
        log.open()
        stack.callback(log.close)
        tables = make_tables(settings)
        stack.callback(tables.close)
        generations = Generations(tables)
        if not is_scaled_out(settings):
            migrate(generations)
        yield Workplace(settings, log, generations)


# --- the socket: a request is a line of JSON; so are the answers: with `progress`, and at last with `result` or `error`


@contextmanager
def _reachable(directory: Path) -> Iterator[str]:
    """The socket's path by way of an open directory: a path in a socket's address has some 100 bytes at most."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        through = Path(f"/proc/self/fd/{handle}")
        yield str((through if through.exists() else directory) / _SOCKET_NAME)
    finally:
        os.close(handle)


def _ask(directory: Path, request: Mapping[str, Any], report: Report) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            with _reachable(directory) as path:
                connection.connect(path)
        except OSError as error:
            raise StartError(
                f"The penstock that runs on {directory} does not answer yet ({error.strerror}); try again in a moment."
            ) from error
        for answer in _answers(connection, request):
            if "result" in answer:
                return dict(answer["result"])
            if "error" in answer:
                raise StartError(answer["error"])
            report(answer["progress"])
    raise StartError("The running penstock ended before it was done.")


def _answers(connection: socket.socket, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the other side says; it ends where that goes away, in whichever way it does."""
    with contextlib.suppress(ConnectionError, msgspec.DecodeError):
        connection.sendall(msgspec.json.encode(request) + b"\n")
        for line in connection.makefile("rb"):
            yield msgspec.json.decode(line, type=dict[str, Any])


@asynccontextmanager
async def answering(workplace: Workplace, operations: Operations) -> AsyncIterator[None]:
    """While it is open, commands beside this process can ask it for operations. One at a time."""
    with _reachable(workplace.settings.data_dir) as path:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # of a process that was killed: the directory's lock is ours
        desk = _Desk(workplace, operations)
        server = await asyncio.start_unix_server(desk.serve, path, limit=_MAX_LINE_BYTES)
        os.chmod(path, 0o600)
    try:
        yield
    finally:
        desk.abandon()
        server.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(workplace.settings.data_dir / _SOCKET_NAME)


class _Desk:
    """Takes requests in."""

    def __init__(self, workplace: Workplace, operations: Operations) -> None:
        self._workplace = workplace
        self._operations = operations
        self._thread = CallThread("operator")  # a daemon: what waits for a slow statement must not hold up the end
        self._abandoned = threading.Event()

    def abandon(self) -> None:
        """Ends what is under way at its next report."""
        self._abandoned.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = threading.Event()
        watching: asyncio.Task[Any] | None = None
        try:
            request = msgspec.json.decode(await reader.readline(), type=dict[str, Any])
            watching = asyncio.create_task(self._watch(reader, gone))
            answer = await self._answer(request, writer, gone)
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        except (OSError, msgspec.DecodeError) as error:
            _log.info("operator's connection ended", reason=str(error))
        finally:
            gone.set()
            if watching:
                watching.cancel()
            writer.close()

    async def _watch(self, reader: asyncio.StreamReader, gone: threading.Event) -> None:
        """Nothing more is sent to us: what comes is the end of the connection."""
        await reader.read()
        gone.set()

    async def _answer(
        self, request: dict[str, Any], writer: asyncio.StreamWriter, gone: threading.Event
    ) -> dict[str, Any]:
        operation = self._operations.get(request["operation"])
        if operation is None:
            return {"error": "The running penstock is of another version: restart it."}
        loop = asyncio.get_running_loop()

        def report(text: str) -> None:
            if gone.is_set() or self._abandoned.is_set():
                raise Abandoned
            line = msgspec.json.encode({"progress": text}) + b"\n"
            loop.call_soon_threadsafe(writer.write, line)

        try:
            return {"result": await self._thread.call(operation, self._workplace, request["arguments"], report)}
        except PenstockError as error:
            return {"error": getattr(error, "message", None) or str(error)}
        except Abandoned:
            return {"error": "The running penstock is about to end."}
        except Exception as error:  # noqa: BLE001 - the one who asked must hear of it
            _log.exception("operation failed", operation=request["operation"])
            return {"error": f"It failed: {type(error).__name__}; see the log of the running penstock."}
