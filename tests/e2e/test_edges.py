"""The edges of HTTP, at whatever address clients have: also where something stands in front of the processes."""

import gzip
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.client import Client
from tests.support.deployments import Deployment, Project

pytestmark = pytest.mark.services

EVENT = {"event": "edge", "email": "ada@example.com"}


def error_of(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error, which must have the shape of all."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"success", "error", "message", "timestamp"}
    assert (body["error"]["code"], body["error"]["statusCode"]) == (code, status)
    assert body["error"]["requestId"] == answer.headers["X-Request-ID"]
    return dict(body["error"])


def raw(url: str, request: bytes) -> bytes:
    """What comes back until the other side closes."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("given", ["abc-123", "a, b", 'with "quotes" and \\', "x" * 128])
def test_a_request_id_is_kept(deployment: Deployment, given: str) -> None:
    for url in (deployment.query_url, deployment.ingest_urls[0]):
        answer = httpx.get(f"{url}/nowhere", headers={"X-Request-ID": given})
        error_of(answer, 404, "RESOURCE_NOT_FOUND")
        assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["x" * 129, "tab\there", ""])
def test_a_request_id_that_cannot_be_kept_is_replaced(deployment: Deployment, given: str) -> None:
    answer = httpx.get(f"{deployment.query_url}/nowhere", headers={"X-Request-ID": given})
    error_of(answer, 404, "RESOURCE_NOT_FOUND")
    assert answer.headers["X-Request-ID"] not in ("", given)


def test_a_head_of_64_kib_passes_and_a_longer_one_is_refused_in_our_words(
    deployment: Deployment, project: Project
) -> None:
    for length, status in ((60_000, 200), (66_000, 431)):
        headers = project.tracking | {f"X-Padding-{number}": "x" * (length // 20) for number in range(20)}
        answer = httpx.post(f"{deployment.ingest_urls[0]}/v1/track", headers=headers, json=EVENT)
        assert answer.status_code == status, answer.text
    error_of(answer, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE")


def test_many_headers_pass(deployment: Deployment, project: Project) -> None:
    headers = project.tracking | {f"X-Number-{number}": "1" for number in range(300)}
    assert httpx.post(f"{deployment.ingest_urls[0]}/v1/track", headers=headers, json=EVENT).status_code == 200


def test_what_is_no_http_is_refused_in_our_shape(deployment: Deployment) -> None:
    head, _, body = raw(deployment.query_url, b"NONSENSE\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    if deployment.has_old_proxy:
        return  # HAProxy before 3.0.12 has a page of its own for it, whatever it is told: its issue 3032
    error = json.loads(body)["error"]
    assert (error["code"], error["statusCode"]) == ("BAD_REQUEST", 400)


def test_a_batch_may_be_large_and_compressed_and_have_no_length(
    deployment: Deployment, client: Client, project: Project
) -> None:
    url, pad = f"{deployment.ingest_urls[0]}/v1/track/batch", "x" * 4000
    lines = [json.dumps({**EVENT, "data": {"n": number, "pad": pad}}).encode() for number in range(1000)]
    headers = project.tracking | {"Content-Type": "application/x-ndjson"}
    plain = httpx.post(url, headers=headers, content=b"\n".join(lines), timeout=30)
    assert plain.json()["data"]["accepted"] == 1000
    packed = gzip.compress(b"\n".join(lines))
    zipped = httpx.post(url, headers=headers | {"Content-Encoding": "gzip"}, content=packed, timeout=30)
    assert zipped.json()["data"]["accepted"] == 1000
    chunked = httpx.post(url, headers=headers, content=iter([line + b"\n" for line in lines]), timeout=30)
    assert chunked.json()["data"]["accepted"] == 1000
    client.position = chunked.headers["X-Position"]
    client.read("/events", after=client.position, limit=1)


def test_a_body_that_is_too_large_is_413(deployment: Deployment, project: Project) -> None:
    body = {**EVENT, "data": {"pad": "x" * 70_000}}
    answer = httpx.post(f"{deployment.ingest_urls[0]}/v1/track", headers=project.tracking, json=body)
    error_of(answer, 413, "PAYLOAD_TOO_LARGE")


def test_a_client_that_waits_to_be_told_to_send_is_told(deployment: Deployment, project: Project) -> None:
    body = json.dumps(EVENT).encode()
    key = project.public_key
    place = urlsplit(deployment.ingest_urls[0])
    head = (
        f"POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert b"HTTP/1.1 200 " in connection.recv(65536)


def test_paths_are_the_same_when_they_are_spelt_with_percent_signs(deployment: Deployment, project: Project) -> None:
    url = f"{deployment.ingest_urls[0]}/v1/%74rack"
    assert httpx.post(url, headers=project.tracking, json=EVENT).status_code == 200


def test_head_answers_as_get_does(deployment: Deployment, project: Project) -> None:
    for path in ("/events", "/contacts", "/healthz"):
        answer = httpx.head(f"{deployment.query_url}{path}", headers=project.reading)
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_browser_anywhere_may_track(deployment: Deployment) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = httpx.options(f"{deployment.ingest_urls[0]}/v1/track", headers=asked)
    assert answer.is_success
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_all_routes_are_described_where_one_address_has_them(deployment: Deployment) -> None:
    paths = httpx.get(f"{deployment.query_url}/openapi.json").json()["paths"]
    described = {path for path in ("/v1/track", "/events", "/contacts", "/segments", "/workflows") if path in paths}
    missing = set() if deployment.query_url in deployment.ingest_urls else {"/v1/track"}
    assert described == {"/v1/track", "/events", "/contacts", "/segments", "/workflows"} - missing
