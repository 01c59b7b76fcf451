"""Serves an application over HTTP until told to stop, then lets go in order."""

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import uvicorn
from starlette.types import ASGIApp

from penstock.errors import StartError
from penstock.protocol import HttpProtocol

_GRACE_SECONDS = 5
"""How long requests may take to finish after SIGTERM; flushing comes after it, and all of it within 10 s."""

_BACKLOG = 2048


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
    """uvicorn's server with a word when it accepts requests."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        if self.started:
            self._on_started()


class Process:
    """One serving process: its parts, its server, and what ended it."""

    def __init__(self) -> None:
        self._server: _Server | None = None
        self._failure: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Ends the process with `error` as its reason; from any thread."""
        self._failure = error
        if self._server:
            self._server.should_exit = True

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
        # uvicorn raises the signal again after a clean stop: by then it has done its work
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve(parts, listener, on_started or (lambda: None)))
        if self._failure is not None:
            raise StartError(f"Stopped: {self._failure}")

    async def _serve(
        self,
        parts: Callable[[], AbstractAsyncContextManager[ASGIApp]],
        listener: socket.socket,
        on_started: Callable[[], None],
    ) -> None:
        async with parts() as app:
            gc.collect()
            gc.freeze()  # what is there now stays: the collector need not walk it again and again under load
            if self._failure is None:
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
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = _Server(config, on_started)
        return self._server.serve(sockets=[listener])


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
