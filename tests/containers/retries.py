"""What the proxy gives to another process where one ended without an answer, and what it must not send twice.

The proxy is that of compose, with its configuration; behind it are processes that never answer (`silent`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.containers.compose import PORTS
from tests.containers.docker import Docker
from tests.support.services import REPOSITORY, wait_until

_NAME = "penstock-test-retries"
_KEYED = {"Idempotency-Key": "once"}

REPEATED = {
    "GET /events": {},
    "GET /contacts/1": {},
    "POST /v1/track": _KEYED,
    "POST /v1/track/batch": _KEYED,
}
"""Requests that change nothing the second time: the headers that make them so."""

SENT_ONCE = {
    "POST /v1/track": {},
    "POST /v1/track/batch": {},
    "POST /v1/hooks/email": _KEYED,
    "POST /v1/hooks/contact": _KEYED,
    "POST /v1/hooks/segment": _KEYED,
    "POST /webhooks/sns": _KEYED,
    "POST /segments": _KEYED,
    "POST /workflows": _KEYED,
    "PATCH /contacts/1": _KEYED,
    "DELETE /contacts/1": _KEYED,
    "DELETE /events/signup": _KEYED,
}
"""Requests that could happen twice if they were sent twice."""


def attempts(docker: Docker, images: dict[str, str]) -> tuple[Counter[str], Counter[str]]:
    """How often processes got each request of `REPEATED` and of `SENT_ONCE`; each is answered with a 503 in the end.

    Args:
        images: as in `images.env`, and PENSTOCK_IMAGE.

    Raises:
        AssertionError: another answer.
    """
    with _running(docker, images) as (url, backends):
        for number, requests in enumerate((REPEATED, SENT_ONCE)):
            for request, headers in requests.items():
                method, path = request.split()
                asked = {**headers, "X-Request-ID": f"{number} {request}"}
                answer = httpx.request(method, url + path, headers=asked, content=b"{}" if method == "POST" else None)
                assert answer.status_code == 503, f"{request}: {answer.status_code} {answer.text}"
                assert answer.headers["Retry-After"].isdigit(), f"{request}: {answer.headers}"
        seen = Counter(line for backend in backends for line in docker("logs", backend).splitlines())
    return (
        Counter({request: seen[f"0 {request}"] for request in REPEATED}),
        Counter({request: seen[f"1 {request}"] for request in SENT_ONCE}),
    )


@contextmanager
def _running(docker: Docker, images: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The proxy's address, and the names of the containers behind it: two of each."""
    backends = [f"{_NAME}-{service}-{number}" for service in PORTS for number in (1, 2)]
    proxy = f"{_NAME}-proxy"
    _remove(docker)
    docker("network", "create", _NAME)
    try:
        for backend in backends:
            _start_backend(docker, images["PENSTOCK_IMAGE"], backend)
        configuration = f"{REPOSITORY / 'deploy/haproxy'}:/usr/local/etc/haproxy:ro"
        place = ["--name", proxy, "--network", _NAME, "--volume", configuration]
        docker("run", "--detach", *place, images["HAPROXY_IMAGE"])
        url = f"http://{_address(docker, proxy)}:8080"
        wait_until(lambda: _is_ready(url), 30, "the proxy to see the processes", poll_seconds=0.1)
        yield url, backends
    finally:
        _remove(docker)


def _start_backend(docker: Docker, image: str, name: str) -> None:
    service = name.split("-")[-2]
    script = f"{Path(__file__).with_name('silent.py')}:/silent.py:ro"
    place = ["--name", name, "--network", _NAME, "--network-alias", service, "--volume", script]
    docker("run", "--detach", *place, "--entrypoint", "python", image, "/silent.py", str(PORTS[service]))


def _remove(docker: Docker) -> None:
    """All of it, as far as it is there."""
    if left := docker("ps", "--all", "--quiet", "--filter", f"network={_NAME}").split():
        docker("rm", "--force", "--volumes", *left)
    if docker("network", "ls", "--quiet", "--filter", f"name=^{_NAME}$"):
        docker("network", "rm", _NAME)


def _address(docker: Docker, container: str) -> str:
    found = json.loads(docker("inspect", container))[0]
    return str(found["NetworkSettings"]["Networks"][_NAME]["IPAddress"])


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
