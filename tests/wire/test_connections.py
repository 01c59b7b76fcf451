"""What is on the wire between the answers' bytes: connections, and how answers are written to them."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.server import ServerState

from ingest.body import BodyRoom, read_body
from penstock.http import RawResponse, install
from penstock.protocol import HttpProtocol
from penstock.telemetry import Metrics
from tests.support.services import LOOPBACK

pytestmark = pytest.mark.anyio

_LARGE = 1 << 20


async def echo(scope: Scope, receive: Receive) -> RawResponse:
    return RawResponse(200, await read_body(scope, receive, 1 << 16, None, BodyRoom(1 << 20)))


async def refuse(scope: Scope, receive: Receive) -> RawResponse:
    """Answers without having read the body."""
    return RawResponse(401, b"{}")


async def large(scope: Scope, receive: Receive) -> RawResponse:
    return RawResponse(200, b"x" * _LARGE)


@dataclass
class Gate:
    """A route that answers when it is told to."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, scope: Scope, receive: Receive) -> RawResponse:
        await self.opened.wait()
        return RawResponse(200, b"waited")


def application(gate: Gate | None = None) -> ASGIApp:
    app = FastAPI()

    @app.get("/framed")
    async def framed() -> str:
        return "framed"

    waits = (gate or Gate()).wait
    direct = {"/echo": echo, "/refuse": refuse, "/large": large, "/wait": waits, "/v1/track": echo}
    return install(app, Metrics(), direct=direct)


def make_protocol(app: ASGIApp, state: ServerState) -> Callable[[], HttpProtocol]:
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, ws="none")
    config.load()
    return lambda: HttpProtocol(config, state, {})


@dataclass
class Client:
    """A connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: HttpProtocol

    async def send(self, *requests: bytes) -> None:
        self.writer.write(b"".join(requests))
        await self.writer.drain()

    async def receive(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(headers) == len(lines)
        body = await self.reader.readexactly(int(headers.get("content-length", 0))) if has_body else b""
        return int(status.split(" ")[1]), headers, body

    async def is_closed(self) -> bool:
        return await self.reader.read() == b""


@asynccontextmanager
async def connected(app: ASGIApp) -> AsyncIterator[Client]:
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make_protocol(app, state), LOOPBACK, 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        await _until(lambda: bool(state.connections))
        yield Client(reader, writer, cast(HttpProtocol, next(iter(state.connections))))
    finally:
        writer.close()
        server.close()
        await _until(lambda: not state.connections)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)


def request(method: str, path: str, body: bytes = b"", *, version: str = "1.1", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: penstock", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_answers_to_requests_on_one_connection_come_one_after_the_other() -> None:
    async with connected(application()) as client:
        for number in range(3):
            await client.send(request("POST", "/echo", b"%d" % number))
            status, headers, body = await client.receive()
            assert (status, body) == (200, b"%d" % number)
            assert "connection" not in headers
        await client.send(request("GET", "/framed"))
        assert (await client.receive())[2] == b'"framed"'


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    gate = Gate()
    async with connected(application(gate)) as client:
        await client.send(
            request("POST", "/wait"),
            request("POST", "/echo", b"2"),
            request("GET", "/framed"),
            request("POST", "/wait"),
        )
        asyncio.get_running_loop().call_later(0.05, gate.opened.set)
        assert [(await client.receive())[2] for _ in range(4)] == [b"waited", b"2", b'"framed"', b"waited"]


async def test_a_head_request_gets_the_head_of_an_answer_only() -> None:
    async with connected(application()) as client:
        await client.send(request("HEAD", "/echo"), request("POST", "/echo", b"next"))
        status, headers, _ = await client.receive(has_body=False)
        assert status == 405
        assert int(headers["content-length"]) > 0
        assert (await client.receive())[2] == b"next"


async def test_a_204_has_neither_body_nor_length() -> None:
    async with connected(application()) as client:
        await client.send(request("OPTIONS", "/v1/track"), request("POST", "/echo", b"next"))
        status, headers, _ = await client.receive()
        assert status == 204
        assert not headers.keys() & {"content-length", "transfer-encoding"}
        assert (await client.receive())[2] == b"next"


@pytest.mark.parametrize(
    "closing", [request("POST", "/echo", b"x", Connection="close"), request("POST", "/echo", b"x", version="1.0")]
)
async def test_the_connection_closes_after_the_answer_where_the_client_says_so(closing: bytes) -> None:
    async with connected(application()) as client:
        await client.send(closing)
        status, headers, body = await client.receive()
        assert (status, headers["connection"], body) == (200, "close", b"x")
        assert await client.is_closed()


async def test_an_answer_during_a_graceful_stop_is_the_last_of_its_connection() -> None:
    gate = Gate()
    async with connected(application(gate)) as client:
        await client.send(request("POST", "/wait"))
        await _until(lambda: client.server.cycle is not None)
        client.server.shutdown()
        gate.opened.set()
        status, headers, body = await client.receive()
        assert (status, headers["connection"], body) == (200, "close", b"waited")
        assert await client.is_closed()


async def test_a_body_that_nobody_read_is_no_part_of_the_next_request() -> None:
    async with connected(application()) as client:
        await client.send(request("POST", "/refuse", b"x" * 100_000), request("POST", "/echo", b"next"))
        assert (await client.receive())[0] == 401
        assert (await client.receive())[2] == b"next"


async def test_a_client_that_asks_whether_to_go_on_is_told_so_before_the_answer() -> None:
    async with connected(application()) as client:
        head, body = request("POST", "/echo", b"body", Expect="100-continue").split(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert (await client.receive(has_body=False))[0] == 100
        await client.send(body)
        assert (await client.receive())[2] == b"body"


async def test_a_chunked_body_is_read_as_one() -> None:
    async with connected(application()) as client:
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in (b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"):
            await asyncio.sleep(0.01)
            await client.send(chunk)
        assert (await client.receive())[2] == b"onetwo"


async def test_answers_wait_for_a_client_that_does_not_read() -> None:
    requests = 40
    async with connected(application()) as client:
        await client.send(request("POST", "/large") * requests)
        await _until(lambda: client.server.flow.write_paused)
        await asyncio.sleep(0.1)
        assert client.server.transport.get_write_buffer_size() <= 2 * _LARGE
        for _ in range(requests):
            assert len((await client.receive())[2]) == _LARGE


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    gate = Gate()
    async with connected(application(gate)) as client:
        await client.send(request("POST", "/wait"))
        await _until(lambda: bool(client.server.tasks))
        client.writer.close()
        await _until(lambda: not client.server.connections)
        gate.opened.set()
        await _until(lambda: not client.server.tasks)


# --- what it costs -----------------------------------------------------------------------------------------------------


class Recorder(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        pass


@asynccontextmanager
async def recorded() -> AsyncIterator[tuple[Recorder, Callable[[bytes], Awaitable[None]]]]:
    """The transport, and what sends a request and waits until it is dealt with."""
    state, transport = ServerState(), Recorder()
    protocol = make_protocol(application(), state)()
    protocol.connection_made(transport)

    async def send(data: bytes) -> None:
        protocol.data_received(data)
        await _until(lambda: not state.tasks)

    yield transport, send
    protocol.connection_lost(OSError())


async def test_head_and_body_of_an_answer_are_written_at_once() -> None:
    async with recorded() as (transport, send):
        await send(request("POST", "/echo", b"first"))
        await send(request("POST", "/echo", b"second"))
        assert [written.rpartition(b"\r\n\r\n")[2] for written in transport.written] == [b"first", b"second"]
        assert all(written.startswith(b"HTTP/1.1 200 OK\r\n") for written in transport.written)


async def test_a_request_leaves_nothing_behind_that_only_the_garbage_collector_can_find() -> None:
    """It would run after every few requests, and take a quarter of their time."""
    async with recorded() as (_, send):
        await send(request("POST", "/echo", b"x"))
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                await send(request("POST", "/echo", b"x"))
            assert gc.collect() < 50
        finally:
            gc.enable()
