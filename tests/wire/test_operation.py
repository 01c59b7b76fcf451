"""The routes of operation, the metrics, and the OpenAPI document of the ingest process."""

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from ingest.accept import ItemBody, TrackBody
from ingest.mail import MailBody
from ingest.routes import write_document
from ingest.sns.message import SnsMessage
from ingest.subscription import SubscriptionBody
from penstock.errors import LogUnavailable
from penstock.health import operation_routes
from penstock.http import install
from penstock.openapi import complete_document, describe
from penstock.readiness import PROCESS, Check
from penstock.telemetry import Metrics
from schemas.names import MAIL_EVENTS
from schemas.wire import BatchItem, TrackRequest
from tests.support.logs import commits_failing
from tests.support.requests import EVENT, Api, error_of, serving

pytestmark = pytest.mark.anyio

RATE_LIMIT_HEADERS = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}


async def metrics_of(api: Api) -> dict[str, float]:
    """Value by name and labels."""
    response = await api.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name} {' '.join(value for name, value in sorted(sample.labels.items()) if name != 'le')}".strip(): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if "le" not in sample.labels
    }


async def test_healthz_says_that_the_process_is_alive(api: Api) -> None:
    response = await api.client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_slash_too_many_is_another_path_in_every_application() -> None:
    app = FastAPI(**describe("any"))
    app.include_router(operation_routes(Metrics(), {}))
    transport = httpx.ASGITransport(install(app, Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="http://penstock") as client:
        error_of(await client.get("/healthz/"), 404, "RESOURCE_NOT_FOUND")


async def test_readyz_is_200_where_all_parts_work(api: Api) -> None:
    assert (await api.client.get("/readyz")).status_code == 200


async def test_readyz_names_everything_that_is_missing(tmp_path: Path) -> None:
    def missing(reason: str) -> Check:
        def check() -> None:
            raise LogUnavailable(reason)

        return check

    checks: dict[str, Check] = {"log": missing("no broker"), "keys": missing("not read"), "tables": lambda: None}
    async with serving(tmp_path, checks=checks) as api:
        response = await api.client.get("/readyz")
        error = error_of(response, 503, "SERVICE_UNAVAILABLE")
        assert int(response.headers["retry-after"]) >= 1
        assert "log: no broker" in error["message"]
        assert "keys: not read" in error["message"]
        assert "tables" not in error["message"]
        assert (await api.client.get("/healthz")).status_code == 200


async def test_readyz_names_the_process_until_it_was_ready_once_and_when_it_ends(tmp_path: Path) -> None:
    """Not in between, where another process would do no better."""
    failing: set[str] = set()

    def check(name: str) -> Check:
        def made() -> None:
            if name in failing:
                raise LogUnavailable("away")

        return made

    async with serving(tmp_path, checks={PROCESS: check(PROCESS), "log": check("log")}) as api:

        async def missing(*names: str) -> str:
            failing.clear()
            failing.update(names)
            answer = await api.client.get("/readyz")
            return "" if answer.status_code == 200 else str(answer.json()["message"])

        assert await missing("log") == "Not ready: log: away; process: it was not ready yet"
        assert await missing() == ""
        assert await missing("log") == "Not ready: log: away"
        assert await missing(PROCESS, "log") == "Not ready: process: away"


async def test_readyz_tells_of_a_log_that_cannot_store_and_of_its_recovery(api: Api) -> None:
    with commits_failing(api.directory):
        await api.track(EVENT)
        await api.client.get("/readyz")
    await api.tracked()
    assert (await api.client.get("/readyz")).status_code == 200


async def test_the_root_leads_a_browser_to_the_documentation(api: Api) -> None:
    response = await api.client.get("/", follow_redirects=True)
    assert response.status_code == 200
    assert response.url.path == "/docs"
    assert response.headers["content-type"].startswith("text/html")
    assert "/openapi.json" in response.text


async def test_the_routes_of_operation_need_no_key(api: Api) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert (await api.client.get(path)).status_code == 200


async def test_metrics_count_requests_by_route_and_status_and_events_by_outcome(api: Api) -> None:
    await api.track(EVENT)
    await api.track({})
    await api.track(EVENT, key="pk_unknown")
    await api.batch([EVENT, EVENT, {}])
    for path in ("/nope", "/nope/again", "/x" * 50):
        await api.client.get(path)
    found = await metrics_of(api)

    assert found["penstock_http_requests_total /v1/track 200"] == 1
    assert found["penstock_http_requests_total /v1/track 422"] == 1
    assert found["penstock_http_requests_total /v1/track 401"] == 1
    assert found["penstock_http_requests_total /v1/track/batch 200"] == 1
    assert found["penstock_http_requests_total unmatched 404"] == 3  # not one series per path that anyone asks for
    assert found["penstock_http_request_seconds_count /v1/track"] == 3
    assert found["penstock_events_accepted_total"] == 3
    assert found["penstock_events_rejected_total"] == 2
    assert found["penstock_log_append_seconds_count"] == 2


async def test_what_the_log_did_not_take_counts_as_neither_accepted_nor_rejected(api: Api) -> None:
    with commits_failing(api.directory):
        await api.track(EVENT)
    found = await metrics_of(api)
    assert (found["penstock_events_accepted_total"], found["penstock_events_rejected_total"]) == (0, 0)


async def test_a_request_that_failed_on_our_side_is_logged_with_its_id(api: Api) -> None:
    with commits_failing(api.directory), structlog.testing.capture_logs() as lines:
        await api.track(EVENT, headers={"X-Request-ID": "find-me"})
        await api.track({})
    [line] = [line for line in lines if line["event"] == "request"]
    assert (line["request_id"], line["status"], line["path"]) == ("find-me", 503, "/v1/track")


# --- the OpenAPI document ----------------------------------------------------------------------------------------------


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = (await api.client.get("/openapi.json")).json()
    return found


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return found.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


async def test_the_document_names_all_routes_and_its_references_lead_somewhere(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    writing = {
        "/v1/track",
        "/v1/track/batch",
        "/v1/hooks/email",
        "/v1/hooks/contact",
        "/v1/hooks/segment",
        "/webhooks/sns",
    }
    assert document["paths"].keys() == {*writing, "/healthz", "/readyz", "/metrics"}
    for reference in references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


async def test_the_write_routes_are_described_with_bodies_headers_answers_and_the_key(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, kinds, headers in (
        ("/v1/track", {"application/json"}, ["Idempotency-Key", "Content-Encoding"]),
        ("/v1/track/batch", {"application/json", "application/x-ndjson"}, ["Idempotency-Key", "Content-Encoding"]),
        ("/v1/hooks/email", {"application/json"}, ["Content-Encoding"]),
    ):
        operation = document["paths"][path]["post"]
        assert operation["security"] == [{"key": []}]
        assert operation["requestBody"]["required"] is True
        assert operation["requestBody"]["content"].keys() == kinds
        assert [parameter["name"] for parameter in operation["parameters"]] == headers
        assert operation["responses"].keys() == {"200", "400", "401", "403", "413", "415", "422", "429", "500", "503"}
        assert operation["responses"]["200"]["headers"].keys() == {"X-Position", "X-Request-ID", *RATE_LIMIT_HEADERS}
        assert operation["responses"]["429"]["headers"].keys() == {"Retry-After", *RATE_LIMIT_HEADERS}
        for status, answer in operation["responses"].items():
            named = references(answer["content"])
            assert (named == {"#/components/schemas/ErrorResponse"}) is (status != "200")


async def test_the_contact_hook_is_described_with_what_an_unknown_contact_gets(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/hooks/contact"]["post"]
    assert operation["security"] == [{"key": []}]
    expected = {"200", "400", "401", "403", "404", "413", "415", "422", "429", "500", "503"}
    assert operation["responses"].keys() == expected


async def test_the_sns_route_is_described_with_its_members_and_without_a_key(document: dict[str, Any]) -> None:
    operation = document["paths"]["/webhooks/sns"]["post"]
    assert operation["security"] == []
    assert operation["responses"].keys() == {"200", "400", "403", "413", "422", "429", "500", "503"}
    described = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert list(described) == [field.encode_name for field in msgspec.structs.fields(SnsMessage)]


async def test_the_described_error_has_the_members_of_the_one_shape(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    item = {"code", "message", "statusCode", "errors", "details", "suggestion"}
    assert schemas["ErrorResponse"]["properties"].keys() == {"success", "error", "message", "timestamp"}
    assert schemas["ErrorMember"]["properties"].keys() == item | {"requestId"}
    assert schemas["ItemError"]["properties"].keys() == item
    assert set(schemas["ErrorMember"]["required"]) == {"code", "message", "statusCode", "requestId"}


async def test_the_described_members_are_those_that_are_read(document: dict[str, Any]) -> None:
    content = document["paths"]["/v1/track"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    batch = document["paths"]["/v1/track/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    array, wrapped = batch["anyOf"]
    assert list(content["properties"]) == list(TrackBody.__struct_fields__)
    assert set(array["items"]["properties"]) == set(ItemBody.__struct_fields__)
    assert wrapped["properties"]["events"]["items"] == array["items"]
    assert content["required"] == ["event", "email"]
    assert not [member for member in content["properties"].values() if "default" in member]
    hook = document["paths"]["/v1/hooks/email"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    report, reports = hook["anyOf"]
    assert set(report["properties"]) == set(MailBody.__struct_fields__)
    assert report["properties"]["event"]["enum"] == list(MAIL_EVENTS)
    assert reports["items"] == report
    assert not [member for member in report["properties"].values() if "default" in member]
    hook = document["paths"]["/v1/hooks/contact"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    change, changes = hook["anyOf"]
    assert set(change["properties"]) == set(SubscriptionBody.__struct_fields__)
    assert change["required"] == ["subscribed"]
    assert changes["items"] == change
    assert not [member for member in change["properties"].values() if "default" in member]


async def test_what_is_accepted_is_valid_by_the_description_too(api: Api) -> None:
    item = {**EVENT, "data": [1], "subscribed": True, "timestamp": "2026-01-01", "idempotencyKey": "k"}
    TrackRequest.model_validate(item)
    BatchItem.model_validate(item)
    assert (await api.batched([item]))["accepted"] == 1


async def test_a_process_beside_ingest_can_describe_its_routes_too(document: dict[str, Any]) -> None:
    app = FastAPI(**describe("other"))
    app.add_api_route("/other", lambda: None)
    complete_document(app, write_document)
    for _ in range(2):
        found = app.openapi()
        assert found["paths"].keys() == {"/other", *(path for path in document["paths"] if path[1:4] in {"v1/", "web"})}
        assert found["paths"]["/v1/track"] == document["paths"]["/v1/track"]
        assert found["components"]["securitySchemes"] == document["components"]["securitySchemes"]
        assert references(found) <= {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
