"""Addresses of names, from the system's resolver.

It blocks, for half a minute where no name server answers, and a pool of threads would soon be full of such names: each
look-up has a thread of its own. There are not many: connections are kept, answers for a while, and one look-up serves
all that wait for a name. The threads are daemons: one that hangs keeps no process from ending.
"""

import asyncio
import socket
import threading
from concurrent.futures import Future
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

Infos = list[tuple[Any, ...]]
"""As `socket.getaddrinfo` gives them."""


class Resolver(AbstractResolver):
    """See the module."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See aiohttp."""
        found: Future[Infos] = Future()
        threading.Thread(target=_look_up, args=(found, host, port, family), name="webhooks-dns", daemon=True).start()
        return [_result(host, info) for info in await asyncio.wrap_future(found)]

    async def close(self) -> None:
        """See aiohttp. Nobody waits for what is still looked up."""


def _look_up(found: "Future[Infos]", host: str, port: int, family: socket.AddressFamily) -> None:
    if not found.set_running_or_notify_cancel():
        return
    try:
        infos: Infos = [*socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)]
    except BaseException as error:  # noqa: BLE001 - it belongs to the one who waits
        found.set_exception(error)
    else:
        found.set_result(infos)


def _result(host: str, info: tuple[Any, ...]) -> ResolveResult:
    family, _, protocol, _, (address, port, *_) = info
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=protocol, flags=socket.AI_NUMERICHOST
    )
