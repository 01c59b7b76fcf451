"""The limit for ingest: an application that reads the body and answers, on the same server with the same settings."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.serving import Process, bind
from tests.support.services import LOOPBACK

_BODY = b'{"success":true,"data":' + b'"' + b"x" * 260 + b'"}'  # as long as the answer to an event


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})


@asynccontextmanager
async def _parts() -> AsyncIterator[ASGIApp]:
    yield _answer


if __name__ == "__main__":
    Process().run(_parts, bind(LOOPBACK, int(sys.argv[1])))
