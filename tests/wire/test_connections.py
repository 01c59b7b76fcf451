"""What is on the wire between the answers' bytes: connections, and how answers are written to them."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.server import ServerState

from penstock.body import BodyRoom, read_body
from penstock.http import RawResponse, install
from penstock.protocol import MAX_HEAD_BYTES, HttpProtocol
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
    async with asyncio.timeout(20):
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


CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\n%bTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
H2C = {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"}
WEBSOCKET = {"Upgrade": "websocket", "Connection": "keep-alive, upgrade"}
UPGRADES = pytest.mark.parametrize("upgrade", [H2C, WEBSOCKET, {"Connection": "upgrade", "Upgrade": "a, b/2"}])


@UPGRADES
async def test_a_wish_for_another_protocol_is_ignored_and_the_body_is_read(upgrade: dict[str, str]) -> None:
    async with connected(application()) as client:
        await client.send(request("POST", "/echo", b"body", **upgrade), request("POST", "/echo", b"next", **upgrade))
        for expected in (b"body", b"next"):
            status, headers, body = await client.receive()
            assert (status, body) == (200, expected)
            assert not headers.keys() & {"upgrade", "connection"}
        await client.send(request("GET", "/framed", b"", **upgrade), request("POST", "/echo", b"last"))
        assert [(await client.receive())[2] for _ in range(2)] == [b'"framed"', b"last"]


@UPGRADES
@pytest.mark.parametrize("size", [1, 7, 100])
async def test_it_is_ignored_however_the_request_is_cut_into_packets(upgrade: dict[str, str], size: int) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in upgrade.items()).encode()
    whole = request("POST", "/echo", b"first", **upgrade) + CHUNKED % lines + request("POST", "/echo", b"last")
    async with recorded() as (transport, send):
        for start in range(0, len(whole), size):
            await send(whole[start : start + size], to_its_end=False)
        await _until(lambda: len(transport.written) == 3)
        assert [written.rpartition(b"\r\n\r\n")[2] for written in transport.written] == [b"first", b"onetwo", b"last"]


async def test_what_else_the_connection_header_says_still_counts() -> None:
    async with connected(application()) as client:
        await client.send(request("POST", "/echo", b"x", Connection="close, Upgrade", Upgrade="h2c"))
        status, headers, body = await client.receive()
        assert (status, headers["connection"], body) == (200, "close", b"x")
        assert await client.is_closed()


async def test_who_asks_for_another_protocol_and_whether_to_go_on_is_told_to_go_on() -> None:
    async with connected(application()) as client:
        head, body = request("POST", "/echo", b"body", Expect="100-continue", **H2C).split(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert (await client.receive(has_body=False))[0] == 100
        await client.send(body)
        assert (await client.receive())[2] == b"body"


LARGE_HEADS = {
    "URL": request("GET", "/framed?" + "x" * MAX_HEAD_BYTES),
    "a header": request("GET", "/framed", X="x" * MAX_HEAD_BYTES),
    "headers": request("GET", "/framed", b"", **{f"x-{number}": "x" * 100 for number in range(1000)}),
    "with a wish": request("POST", "/echo", b"body", X="x" * MAX_HEAD_BYTES, **H2C),
}


@pytest.mark.parametrize("head", LARGE_HEADS.values(), ids=LARGE_HEADS.keys())
async def test_a_head_over_64_kib_is_431_and_the_end_of_the_connection(head: bytes) -> None:
    async with connected(application()) as client:
        await client.send(head, request("POST", "/echo", b"never"))
        status, headers, body = await client.receive()
        assert (status, headers["connection"]) == (431, "close")
        error = json.loads(body)["error"]
        assert (error["code"], error["requestId"]) == ("REQUEST_HEADER_FIELDS_TOO_LARGE", headers["x-request-id"])
        assert await client.is_closed()


@pytest.mark.parametrize("first", [100, 30_000, MAX_HEAD_BYTES])
async def test_a_head_over_64_kib_is_431_in_whatever_pieces_it_comes(first: int) -> None:
    head = request("GET", "/framed", X="x" * MAX_HEAD_BYTES)
    async with recorded() as (transport, send):
        await send(head[:first])
        await send(head[first:])
        assert transport.written[0].startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("beginning", [b"GET /", b"GET / HTTP/1.1\r\nX: "])
async def test_of_a_head_without_an_end_no_more_is_kept(beginning: bytes) -> None:
    async with recorded() as (transport, send):
        await send(beginning)
        for _ in range(17):
            assert not transport.written
            await send(b"x" * 4096)
        assert transport.written[0].startswith(b"HTTP/1.1 431 ")
        await send(b"x" * 4096)
        assert len(transport.written) == 1


async def test_headers_behind_a_body_are_read_over() -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-Own: yes\r\n\r\n"
    async with connected(application()) as client:
        await client.send(head, b"4\r\nbody\r\n0\r\n", b"X-Late: no\r\n" * 1000, b"\r\n")
        assert (await client.receive())[2] == b"body"
        assert [name for name, _ in client.server.headers] == [b"host", b"transfer-encoding", b"x-own"]
        await client.send(request("POST", "/echo", b"next"))
        assert (await client.receive())[2] == b"next"


async def test_a_head_of_almost_64_kib_is_taken_and_a_body_is_no_part_of_it() -> None:
    large = request("POST", "/echo", b"x" * 60_000, X="x" * (MAX_HEAD_BYTES - 200))
    async with connected(application()) as client:
        await client.send(large[:30_000])
        await asyncio.sleep(0.02)
        await client.send(large[30_000:], request("POST", "/echo", b"next"))
        assert [len((await client.receive())[2]) for _ in range(2)] == [60_000, 4]


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

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


@asynccontextmanager
async def recorded() -> AsyncIterator[tuple[Recorder, Callable[..., Awaitable[None]]]]:
    """The transport, and what sends a request and, unless told otherwise, waits until it is dealt with."""
    state, transport = ServerState(), Recorder()
    protocol = make_protocol(application(), state)()
    protocol.connection_made(transport)

    async def send(data: bytes, *, to_its_end: bool = True) -> None:
        protocol.data_received(data)
        await _until(lambda: not state.tasks or not to_its_end)

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
