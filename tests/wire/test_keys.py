"""Who may write: the contract's paragraph on keys."""

import pytest
from msgspec.structs import replace

from tests.support.requests import EVENT, Api, error_of

pytestmark = pytest.mark.anyio

PATHS = pytest.mark.parametrize("path", ["/v1/track", "/v1/track/batch"])


def body_for(path: str) -> object:
    return EVENT if path == "/v1/track" else [EVENT]


@PATHS
async def test_a_public_and_a_secret_key_may_write(api: Api, path: str) -> None:
    for key in (api.project.public.text, api.project.secret.text):
        assert (await api.post(path, body_for(path), key=key)).status_code == 200
    assert len(api.stored()) == 2


async def test_the_project_comes_from_the_key(api: Api) -> None:
    other = api.make_project()

    await api.tracked()
    await api.tracked(key=other.public.text)

    assert [event.project_id for event in api.stored()] == [api.project.project.id, other.project.id]


async def test_keys_have_a_prefix_and_at_least_32_random_url_safe_characters(api: Api) -> None:
    for prefix, made in (("pk_", api.make_key("public")), ("sk_", api.make_key("secret"))):
        assert made.text.startswith(prefix)
        assert len(made.text) >= 3 + 32
        assert made.text.replace("-", "").replace("_", "").isalnum()


@PATHS
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Token {key}",
        "{key}",
        "Bearer {key} {key}",
        "Bearer{key}",
    ],
)
async def test_a_missing_or_malformed_header_is_401_missing_auth(api: Api, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.format(key=api.project.public.text)}

    response = await api.client.post(path, json=body_for(path), headers=headers)

    error = error_of(response, 401, "MISSING_AUTH")
    assert "Authorization" in error["suggestion"]
    assert response.headers["www-authenticate"] == "Bearer"
    assert api.stored() == []


@PATHS
async def test_a_header_that_is_repeated_is_401_missing_auth(api: Api, path: str) -> None:
    key = f"Bearer {api.project.public.text}"
    for values in ([key, key], [key, "Bearer sk_unknown"], ["Bearer sk_unknown", key]):
        headers = [("Content-Type", "application/json"), *[("Authorization", value) for value in values]]
        error_of(await api.client.post(path, json=EVENT, headers=headers), 401, "MISSING_AUTH")
    repeated = [("Content-Type", "application/json"), ("Authorization", key), ("X-Other", "1"), ("X-Other", "2")]
    assert (await api.client.post(path, json=EVENT, headers=repeated)).status_code in (200, 422)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_scheme_is_case_insensitive_as_http_says(api: Api, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {api.project.public.text}"}
    assert (await api.client.post("/v1/track", json=EVENT, headers=headers)).status_code == 200


@PATHS
@pytest.mark.parametrize("key", ["pk_unknown", "sk_" + "x" * 43, "nonsense", "ключ", "pk_\x01", "k" * 10_000])
async def test_an_unknown_key_is_401_invalid_api_key(api: Api, path: str, key: str) -> None:
    headers = {b"Authorization": f"Bearer {key}".encode()}
    response = await api.client.post(path, json=body_for(path), headers=headers)
    error_of(response, 401, "INVALID_API_KEY")
    assert api.stored() == []


async def test_a_key_that_differs_in_case_or_in_one_character_is_unknown(api: Api) -> None:
    good = api.project.public.text
    for key in (good.swapcase(), good[:-1], good + "x", good.replace("pk_", "sk_")):
        error_of(await api.track(EVENT, key=key), 401, "INVALID_API_KEY")


@PATHS
async def test_a_revoked_key_is_401_invalid_api_key_and_the_others_still_work(api: Api, path: str) -> None:
    made = api.make_key("public")
    assert (await api.post(path, body_for(path), key=made.text)).status_code == 200

    api.know(replace(made.record, revoked_at="2026-11-23T07:00:00.000Z"))

    error_of(await api.post(path, body_for(path), key=made.text), 401, "INVALID_API_KEY")
    assert (await api.post(path, body_for(path))).status_code == 200


@PATHS
async def test_a_disabled_project_refuses_writes_with_403_until_it_is_enabled(api: Api, path: str) -> None:
    api.know(replace(api.project.project, enabled=False))
    for key in (api.project.public.text, api.project.secret.text):
        error_of(await api.post(path, body_for(path), key=key), 403, "PROJECT_DISABLED")
    assert api.stored() == []

    api.know(api.project.project)
    assert (await api.post(path, body_for(path))).status_code == 200


async def test_the_key_is_checked_before_the_body(api: Api) -> None:
    error_of(await api.track(b"not json", key="pk_unknown"), 401, "INVALID_API_KEY")
    error_of(await api.track(b"x" * 100_000, key="pk_unknown"), 401, "INVALID_API_KEY")


async def test_before_all_keys_are_read_an_unknown_one_is_503_and_a_known_one_works(api: Api) -> None:
    api.ring.is_complete = False
    response = await api.track(EVENT, key="pk_unknown")
    error_of(response, 503, "SERVICE_UNAVAILABLE")
    assert int(response.headers["retry-after"]) >= 1
    assert (await api.track(EVENT)).status_code == 200


async def test_no_answer_and_no_stored_byte_contains_a_key(api: Api) -> None:
    key = api.project.public.text
    answers = [await api.track(EVENT), await api.track({}), await api.track(EVENT, key=key + "x")]
    assert all(key not in answer.text for answer in answers)
    assert key[3:].encode() not in b"".join(path.read_bytes() for path in api.directory.iterdir())
