"""An endpoint of webhooks, as a process of its own: verifies signatures, fails at random, and keeps what it got in a file.

python -m tests.support.receiver [--host 127.0.0.1] --port 9000 --file seen.jsonl --secret whsec_… [--failing 0.3] [--silent]
"""

import argparse
import asyncio
import json
import random
from pathlib import Path

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.services import LOOPBACK


class Receiver:
    """Answers 200, or with some probability 500, 503 or nothing; each request is a line in the file before that.

    Args:
        failing: how likely a failure is, from 0 to 1.
        status: the only answer; 0 for others.
        is_silent: never answers.
    """

    def __init__(self, file: Path, secrets: list[str], failing: float, status: int, *, is_silent: bool) -> None:
        self._file = file.open("a", encoding="utf-8", buffering=1)
        self._webhooks = [Webhook(secret) for secret in secrets]
        self._failing = failing
        self._status = status
        self._is_silent = is_silent
        self._random = random.Random(1)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """One delivery."""
        body = await request.text()
        status = self._status or 200
        if self._random.random() < self._failing:
            status = self._random.choice([500, 503, 0])
        line = {
            "id": request.headers.get("webhook-id"),
            "signed": self._is_signed(request, body),
            "status": status,
            "at": asyncio.get_running_loop().time(),
            "headers": dict(request.headers),
            "body": json.loads(body),
        }
        self._file.write(json.dumps(line) + "\n")
        if self._is_silent:
            await asyncio.sleep(3600)
        if status == 0 and request.transport is not None:
            request.transport.close()
        location = {"Location": "http://example.com/"} if 300 <= status < 400 else None
        return web.Response(status=status or 500, text="ok" if status == 200 else "not now", headers=location)

    async def ready(self, _: web.Request) -> web.Response:
        """Whether it runs."""
        return web.Response(text="ready")

    def _is_signed(self, request: web.Request, body: str) -> bool:
        for webhook in self._webhooks:
            try:
                webhook.verify(body, dict(request.headers))
            except WebhookVerificationError:
                return False
        return bool(self._webhooks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--secret", action="append", default=[])
    parser.add_argument("--failing", type=float, default=0.0)
    parser.add_argument("--status", type=int, default=0)
    parser.add_argument("--silent", action="store_true")
    options = parser.parse_args()
    receiver = Receiver(options.file, options.secret, options.failing, options.status, is_silent=options.silent)
    app = web.Application()
    app.router.add_get("/ready", receiver.ready)
    app.router.add_route("*", "/{rest:.*}", receiver.take)
    web.run_app(app, host=options.host, port=options.port, print=None, handle_signals=True)


if __name__ == "__main__":
    main()
