"""Connections to endpoints. A kept one is looked at before it is used: the endpoint may have closed it meanwhile.

The event loop learns of that only when it comes to it; until then a request would be sent into nothing, and be a failed
attempt. To send it once more after that would not do: the endpoint may have got it, and attempts are told truly.
"""

import select
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection


class Connector(aiohttp.TCPConnector):
    """See the module."""

    def __init__(self, **options: Any) -> None:  # aiohttp's
        super().__init__(**options)
        self._kept: WeakSet[ResponseHandler] = WeakSet()

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:  # aiohttp's
        """See aiohttp."""
        while True:
            connection = await super().connect(*args, **kwargs)
            protocol = connection.protocol
            if protocol is None or protocol not in self._kept:
                break
            if not _has_news(protocol):
                return connection
            connection.close()
        if protocol is not None:
            self._kept.add(protocol)
        return connection


def _has_news(protocol: ResponseHandler) -> bool:
    """Whether something came on a connection where nothing was asked: its end, or what nobody waits for."""
    transport = protocol.transport
    if transport is None:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
