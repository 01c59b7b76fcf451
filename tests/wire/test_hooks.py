"""What the hooks of mail systems and of contacts have in common: their bodies, their keys, who may call them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.settings import Ingest, Limits
from tests.support.requests import NOW, Api, error_of, problems_of, serving

pytestmark = pytest.mark.anyio

KIB = 1024
HOOKS: dict[str, dict[str, Any]] = {
    "/v1/hooks/email": {"event": "email.sent", "email": "ada@example.com"},
    "/v1/hooks/contact": {"email": "ada@example.com", "subscribed": False},
    "/v1/hooks/segment": {"segment": "vip", "email": "ada@example.com", "action": "entry"},
}
"""A body that is right, for each."""


@pytest.fixture(params=HOOKS)
def hook(request: pytest.FixtureRequest) -> str:
    path: str = request.param
    return path


@pytest.fixture
def body(hook: str) -> dict[str, Any]:
    return HOOKS[hook]


@pytest.fixture
async def api(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Api]:
    async with serving(tmp_path, limits=Limits()) as made:
        yield made


async def report(api: Api, hook: str, body: Any, **more: Any) -> httpx.Response:
    return await api.post(hook, body, key=api.project.secret.text, **more)


@pytest.mark.parametrize("text", [b"", b"{", b"[", b"[{]", b"\xff", b'{"email":"\\ud800"}', b"NaN"])
async def test_what_is_not_json_is_a_bad_request(api: Api, hook: str, text: bytes) -> None:
    error_of(await report(api, hook, text), 400, "BAD_REQUEST")


async def test_json_that_is_no_object_is_an_error_of_the_body(api: Api, hook: str) -> None:
    assert problems_of(await report(api, hook, b"7")) == [("body", "invalid_type")]


async def test_a_single_object_has_64_kib_at_most(api: Api, hook: str, body: dict[str, Any]) -> None:
    frame = json.dumps({**body, "x": ""})
    fits = frame[:-2] + "x" * (64 * KIB - len(frame)) + frame[-2:]
    assert (await report(api, hook, fits.encode())).status_code == 200
    error_of(await report(api, hook, (fits + " ").encode()), 413, "PAYLOAD_TOO_LARGE")


async def test_an_array_has_5_mib_at_most(tmp_path: Path, hook: str, body: dict[str, Any]) -> None:
    async with serving(tmp_path, ingest=Ingest(max_batch_bytes=KIB)) as api:
        error_of(await report(api, hook, [body] * 100), 413, "PAYLOAD_TOO_LARGE")


async def test_other_types_than_json_are_refused(api: Api, hook: str, body: dict[str, Any]) -> None:
    refused = await report(api, hook, body, headers={"Content-Type": "application/x-ndjson"})
    error_of(refused, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_only_a_secret_key_is_taken(api: Api, hook: str, body: dict[str, Any]) -> None:
    error_of(await api.post(hook, body), 401, "INVALID_API_KEY")
    error_of(await report(api, hook, body, headers={"Authorization": ""}), 401, "MISSING_AUTH")
    assert api.stored() == []


async def test_a_disabled_project_is_refused(api: Api, hook: str, body: dict[str, Any]) -> None:
    api.know(api.project.project.__class__(api.project.project.id, "test", NOW, False))
    error_of(await report(api, hook, body), 403, "PROJECT_DISABLED")


async def test_other_sites_may_not_call_it(api: Api, hook: str, body: dict[str, Any]) -> None:
    response = await report(api, hook, body, headers={"Origin": "https://shop.example"})
    assert "access-control-allow-origin" not in response.headers


async def test_other_methods_are_not_allowed(api: Api, hook: str) -> None:
    response = await api.client.get(hook)
    error_of(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST"
