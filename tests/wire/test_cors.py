"""Which browsers may call: the contract's paragraph on CORS."""

from pathlib import Path

import pytest

from penstock.settings import Query
from tests.support.requests import EVENT, Api, serving

pytestmark = pytest.mark.anyio

TRACK_PATHS = pytest.mark.parametrize("path", ["/v1/track", "/v1/track/batch"])
PREFLIGHT = {
    "Origin": "https://shop.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
}


def listed(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


@TRACK_PATHS
async def test_a_preflight_of_the_track_routes_is_answered_for_any_origin_without_a_key(api: Api, path: str) -> None:
    response = await api.client.options(path, headers=PREFLIGHT)

    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["access-control-allow-origin"] == "*"
    assert listed(response.headers["access-control-allow-methods"]) == {"post", "options"}
    assert listed(response.headers["access-control-allow-headers"]) == {
        "authorization",
        "content-type",
        "idempotency-key",
    }
    assert int(response.headers["access-control-max-age"]) > 0
    assert response.headers["x-request-id"]


@TRACK_PATHS
async def test_an_options_request_without_an_origin_is_answered_as_well(api: Api, path: str) -> None:
    assert (await api.client.options(path)).status_code == 204


@TRACK_PATHS
async def test_every_answer_of_the_track_routes_may_be_read_from_any_origin(api: Api, path: str) -> None:
    origin = {"Origin": "https://shop.example"}
    answers = [
        await api.post(path, EVENT if path == "/v1/track" else [EVENT], headers=origin),
        await api.post(path, b"not json", headers=origin),
        await api.post(path, EVENT, headers=origin, key="pk_unknown"),
        await api.client.get(path, headers=origin),
        await api.client.post(path, headers=origin),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 401, 405, 401]
    for answer in answers:
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert {
            "x-request-id",
            "x-position",
            "retry-after",
            "ratelimit-limit",
            "ratelimit-remaining",
            "ratelimit-reset",
        } <= listed(answer.headers["access-control-expose-headers"])
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/nope", "/openapi.json"])
async def test_other_routes_answer_no_origin_by_default(api: Api, path: str) -> None:
    for method in ("GET", "OPTIONS"):
        response = await api.client.request(method, path, headers={**PREFLIGHT, "Access-Control-Request-Method": "GET"})
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_other_routes_answer_any_origin_where_the_settings_say_so(tmp_path: Path) -> None:
    async with serving(tmp_path, query=Query(cors_origins=["*"])) as api:
        for origin in ("https://admin.example", "null"):
            plain = await api.client.get("/healthz", headers={"Origin": origin})
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            preflight = await api.client.options("/healthz", headers=asked)
            assert (plain.status_code, preflight.status_code) == (200, 204)
            for answer in (plain, preflight):
                assert answer.headers["access-control-allow-origin"] == "*"
                assert "access-control-allow-credentials" not in answer.headers
            assert "authorization" in listed(preflight.headers["access-control-allow-headers"])


async def test_other_routes_answer_the_origins_from_the_settings_and_no_others(tmp_path: Path) -> None:
    async with serving(tmp_path, query=Query(cors_origins=["https://admin.example"])) as api:
        for origin, allowed in (("https://admin.example", True), ("https://evil.example", False), ("null", False)):
            plain = await api.client.get("/healthz", headers={"Origin": origin})
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            preflight = await api.client.options("/healthz", headers=asked)

            assert plain.status_code == 200
            assert plain.headers["vary"] == "Origin"
            assert plain.headers.get("access-control-allow-origin") == (origin if allowed else None)
            assert preflight.status_code == (204 if allowed else 405)
            assert preflight.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert "access-control-allow-origin" not in (await api.client.get("/healthz")).headers
