"""HTTP/1.1 on one connection: uvicorn's protocol with some differences.

- What is no HTTP is refused in our error shape too, and so is a head that is too large to be kept in memory.
- A wish to go on with another protocol is ignored (RFC 9110, 7.8), as we speak no other: Java's client and `curl
  --http2` ask each plain connection for HTTP/2. The parser would take what comes behind the head for that protocol, and
  with it the body; so it is made anew and given the head once more, without the wish.
- While the server drains, an answer is the last on its connection.
- Whole answers are taken (`penstock.http.ANSWER`) and written at once. In ASGI's two parts, an answer is two system
  calls and two packets, and each wakes the other side. Writing once, without checking again what is ours, took a fifth
  off the processor time of a tracked event.

Should another uvicorn do without `_start_asgi_task`, nobody is offered the extension: answers come in two parts again.
"""

from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from penstock.errors import HeadTooLarge, MalformedBody, RequestError
from penstock.http import ANSWER, RawHeaders, error_response, raw_http
from schemas.ids import random_digits

MAX_HEAD_BYTES = 64 * 1024
"""Of the URL and the headers of one request."""

DRAINING = "is_draining"
"""An attribute of the server's state, where each answer is to be the last on its connection."""

_CLOSE = (b"connection", b"close")

_LINGER_SECONDS = 1.0
"""A connection that is closed while something still comes is reset, and the client loses the answer before it."""


class HttpProtocol(HttpToolsProtocol):
    """See the module."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._whole_head = self.headers  # the head that was complete last: another one in `headers` is still coming
        self._first_bytes = 0  # of the piece in which the last head began: what came of it there, at most
        self._head_bytes = 0  # that came of it since then
        self._received_bytes = 0  # what it may have at most
        self._plain_head = b""  # what the parser is to read instead of the head that it has read
        self._is_refused = False
        self._is_last = getattr(self.server_state, DRAINING, False)  # the answer that comes next

    def answer_once_more(self) -> None:
        """The answer that comes next ends the connection. One on which nothing is asked any more stays open."""
        self._is_last = True
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """See uvicorn."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._received_bytes = self._first_bytes + self._head_bytes + len(data)
        begun = self.headers
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                self._feed_anew(memoryview(data)[stop.args[0] :])
        except httptools.HttpParserError:
            if not self._is_refused:
                self.send_400_response("Invalid HTTP request received.")
            return
        if begun is not self.headers:
            self._first_bytes = len(data)
        elif begun is not self._whole_head:  # all of it was of one head
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()

    def _feed_anew(self, left: memoryview) -> None:
        """Goes on with a new parser where the last one stopped: behind a head, with `left`."""
        while self._plain_head:  # else it was CONNECT: what is left is meant for somebody else
            head, self._plain_head = self._plain_head, b""
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            self.parser.feed_data(head)
            try:
                self.parser.feed_data(left)
            except httptools.HttpParserUpgrade as stop:
                left = left[stop.args[0] :]

    def on_header(self, name: bytes, value: bytes) -> None:
        """See uvicorn. What a chunked body is followed by is not kept: nobody needs it, and it has no end."""
        if self.headers is not self._whole_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See uvicorn."""
        self._whole_head = self.headers
        self._head_bytes = 0
        if self._received_bytes > MAX_HEAD_BYTES and self._measured_head() > MAX_HEAD_BYTES:
            self._refuse_head()
            raise HeadTooLarge
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._plain_head = self._without_upgrade()
        else:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """See uvicorn."""
        if not self._plain_head:
            super().on_message_complete()

    def _measured_head(self) -> int:
        return len(self.url) + sum([len(name) + len(value) for name, value in self.headers])

    def _without_upgrade(self) -> bytes:
        """The head that was read last, without the wish for another protocol."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines.append(b"connection: %b" % b",".join(tokens))
            elif name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def _refuse_head(self) -> None:
        self._is_refused = True
        self._write_refusal(HeadTooLarge())
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """See uvicorn."""
        self._write_refusal(MalformedBody(msg))
        self.transport.close()

    def _write_refusal(self, error: RequestError) -> None:
        request_id = random_digits(24)
        response = error_response(error, request_id)
        headers = [
            *response.headers,
            (b"x-request-id", request_id.encode()),
            (b"content-length", b"%d" % len(response.body)),
            _CLOSE,
        ]
        self.transport.write(raw_http(response.status, headers, response.body))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._is_last:
            cycle.keep_alive = False
        self._answering = cycle  # not the cycle in `extensions`: it would be garbage that refers to itself
        cycle.scope["extensions"] = {ANSWER: self._answer}  # type: ignore[dict-item] # uvicorn has none that do things
        super()._start_asgi_task(cycle, app)

    async def _answer(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """What `RequestResponseCycle.send` does with the two parts of an answer, in one write."""
        cycle = self._answering
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        head = [*cycle.default_headers, *headers] if cycle.keep_alive else [*cycle.default_headers, *headers, _CLOSE]
        self.transport.write(raw_http(status, head, b"" if cycle.scope["method"] == "HEAD" else body))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
