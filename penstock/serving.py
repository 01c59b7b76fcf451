"""Serves an application over HTTP until told to stop, then lets go in order.

With a drain, SIGTERM only begins the end: the process says that it is not ready, and goes on serving until balancers
have noticed. Its answers end their connections, so that nobody comes back on one. Without, a balancer learns of it
by requests that fail.
"""

import asyncio
import gc
import math
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType

import structlog
import uvicorn
from starlette.types import ASGIApp

from penstock.errors import StartError, Unavailable
from penstock.protocol import DRAINING, HttpProtocol

_GRACE_SECONDS = 5
"""How long requests may take to finish after SIGTERM, the drain included; flushing comes after it, all within 10 s."""

_LAST_RESORT_SECONDS = 8
"""A call that hangs in a dead disk or server cannot be ended: after so long the process ends with it."""

_KEEP_ALIVE_SECONDS = 5
_KEEP_ALIVE_BEHIND_SECONDS = 75
"""Of idle connections, without and with a balancer in front. These keep few, for up to 60 s, and must close them first:
what is sent as the other side closes is lost."""

_BACKLOG = 2048

_log = structlog.get_logger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, before anything else is started.

    Raises:
        StartError: the address is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise StartError(f"Cannot listen on {host}:{port}: {reason}. Choose another with --port.") from error
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener


def address(listener: socket.socket) -> str:
    """The URL under which the socket is reached from this machine."""
    host, port = listener.getsockname()[:2]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


class _Server(uvicorn.Server):
    """uvicorn's server with a word when it accepts requests, and one when it is told to stop.

    Args:
        on_signal: given the signal's number; whether to go on serving for now.
    """

    def __init__(
        self, config: uvicorn.Config, on_started: Callable[[], None], on_signal: Callable[[int], bool]
    ) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_signal = on_signal

    def keep_no_connection(self) -> None:
        """The next answer on each is its last, also on those that are still to come."""
        setattr(self.server_state, DRAINING, True)
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpProtocol):
                connection.answer_once_more()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn, which takes a Ctrl-C for the second one where it is told to stop already."""
        if not self._on_signal(sig):
            super().handle_exit(sig, frame)


class Process:
    """One serving process: its parts, its server, and what ended it.

    Args:
        drain_seconds: how long it goes on serving after SIGTERM, at most 3. Ctrl-C does not wait.
    """

    def __init__(self, drain_seconds: float = 0) -> None:
        self._drain_seconds = drain_seconds
        self._server: _Server | None = None
        self._failure: Exception | None = None
        self._ending = threading.Event()

    def fail(self, error: Exception) -> None:
        """Ends the process with `error` as its reason; from any thread."""
        self._failure = error
        self._end()

    def check(self) -> None:
        """For `/readyz`.

        Raises:
            Unavailable: it was told to stop.
        """
        if self._ending.is_set():
            raise Unavailable("the process is ending")

    def run(
        self,
        parts: Callable[[], AbstractAsyncContextManager[ASGIApp]],
        listener: socket.socket,
        on_started: Callable[[], None] | None = None,
    ) -> None:
        """Opens `parts`, serves the application that they give until SIGTERM or SIGINT, closes them.

        Raises:
            StartError: a part could not start, or could not go on.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end())  # until uvicorn listens itself, and once more afterwards
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve(parts, listener, on_started or (lambda: None)))
        if self._failure is not None:
            raise StartError(f"Stopped: {self._failure}")

    def _told_to_stop(self, number: int) -> bool:
        """At a signal while it serves: whether to go on for now."""
        is_first = not self._ending.is_set()
        self._begin_end()
        if number == signal.SIGINT or not self._drain_seconds:
            return False
        if is_first and self._server:
            self._server.keep_no_connection()
            _later(self._drain_seconds, self._end)
            _later(0, lambda: _log.info("draining", seconds=self._drain_seconds))  # a handler may interrupt another log
        return True

    def _end(self) -> None:
        """Lets go, whether the server runs already or parts are still being opened."""
        if self._server:
            self._server.should_exit = True
        self._begin_end()

    def _begin_end(self) -> None:
        if not self._ending.is_set():
            self._ending.set()
            _later(_LAST_RESORT_SECONDS, self._end_at_once)

    def _end_at_once(self) -> None:
        """What was acknowledged is durable, and whoever comes next finds what was not finished."""
        _log.warning("something hangs; ending without it, nothing is lost by that")
        os._exit(0 if self._failure is None else 1)

    async def _serve(
        self,
        parts: Callable[[], AbstractAsyncContextManager[ASGIApp]],
        listener: socket.socket,
        on_started: Callable[[], None],
    ) -> None:
        async with parts() as app:
            gc.collect()
            gc.freeze()  # what is there now stays: the collector need not walk it again and again under load
            if not self._ending.is_set():
                await self._serve_app(app, listener, on_started)

    def _serve_app(self, app: ASGIApp, listener: socket.socket, on_started: Callable[[], None]) -> Awaitable[None]:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            http=HttpProtocol,
            proxy_headers=False,
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_BEHIND_SECONDS if self._drain_seconds else _KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS - math.ceil(self._drain_seconds),
        )
        self._server = _Server(config, on_started, self._told_to_stop)
        return self._server.serve(sockets=[listener])


def _later(seconds: float, what: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, what)
    timer.daemon = True
    timer.start()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
