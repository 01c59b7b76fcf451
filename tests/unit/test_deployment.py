"""docker-compose.yml and deploy/: what they promise each other, the code, and the reader of the docs."""

import json
import re
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from penstock import serving
from penstock.cli import app
from penstock.protocol import MAX_HEAD_BYTES
from penstock.readiness import PROCESS
from tests.support.services import REPOSITORY

COMPOSE = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
PROXY = REPOSITORY / "deploy" / "haproxy"
HAPROXY = (PROXY / "haproxy.cfg").read_text(encoding="utf-8")
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]

STAYING = {"kafka", "clickhouse", "ingest", "consume", "query", "proxy"}
"""The services that run until they are told to stop."""


def proxied(pattern: str) -> int:
    """The number in the one line of the proxy's configuration that fits."""
    (found,) = re.findall(pattern, HAPROXY, re.MULTILINE)
    return int(found)


def test_all_services_are_known_here() -> None:
    assert SERVICES.keys() == STAYING | {"migrate", "penstock"}


@pytest.mark.parametrize("name", sorted(STAYING))
def test_a_service_that_stays_is_watched_limited_restarted_and_given_time_to_end(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"mem_limit", "stop_grace_period"} <= service.keys()
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]


def test_one_port_is_published_and_only_to_this_machine() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "proxy": ["${LISTEN:-127.0.0.1:8080}:8080"]
    }


def test_the_stores_are_reached_by_penstock_alone() -> None:
    networks = {name: service.get("networks", ["default"]) for name, service in SERVICES.items()}
    assert yaml.safe_load(COMPOSE)["networks"]["storage"]["internal"] is True
    assert networks["kafka"] == networks["clickhouse"] == ["storage"]
    assert networks["proxy"] == ["default"]


def test_every_variable_of_the_compose_file_is_in_the_docs() -> None:
    """But for the one that tells tests' settings from those of this machine."""
    named = set(re.findall(r"\$\{(\w+)", COMPOSE)) - {"PENSTOCK_ENV_FILE"}
    _, _, section = OPERATIONS.partition("### With Docker")
    table = "".join(line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|"))
    assert set(re.findall(r"`([A-Z][A-Z_]+)`", table)) == named


def test_the_proxy_keeps_idle_clients_for_less_than_the_processes_keep_the_proxy() -> None:
    assert proxied(r"^\s+timeout http-keep-alive (\d+)s") < serving._KEEP_ALIVE_BEHIND_SECONDS


def test_the_proxy_lets_the_processes_refuse_heads_that_are_too_long() -> None:
    kept_free = 1024  # tune.maxrewrite
    assert proxied(r"^\s+tune\.bufsize (\d+)") - kept_free > MAX_HEAD_BYTES


def test_the_proxy_sees_that_a_process_drains_long_before_it_ends() -> None:
    every_ms, times = proxied(r"check inter (\d+)ms"), proxied(r"inter \d+ms fall (\d+)")
    drain = SERVICES["ingest"]["environment"]["PENSTOCK_SERVING__DRAIN_SECONDS"]
    assert every_ms * times * 2 <= drain * 1000


def test_the_proxy_leaves_out_whom_readyz_says_to() -> None:
    assert f'http-check expect ! rstring "{PROCESS}: "' in HAPROXY


@pytest.mark.parametrize("name", ["ingest", "query"])
def test_the_proxy_asks_each_process_where_it_listens(name: str) -> None:
    command = SERVICES[name]["command"]
    port = command[command.index("--port") + 1]
    assert re.search(rf"^\s+server-template {name} 1-16 {name}:{port}$", HAPROXY, re.MULTILINE)
    assert SERVICES[name]["environment"]["PORT"] == port


@pytest.mark.parametrize("command", ["up", "ingest", "query", "consume"])
def test_a_process_listens_where_the_images_health_check_asks(command: str) -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    assert "/dev/tcp/127.0.0.1/$PORT" in dockerfile
    refused = CliRunner().invoke(app, [command], env={"PORT": "70000", "COLUMNS": "200"})
    assert refused.exit_code == 2
    assert "'--port' (env var: 'PORT')" in refused.output


@pytest.mark.parametrize(
    ("file", "status", "code", "more"),
    [
        ("unavailable.json", 503, "SERVICE_UNAVAILABLE", {"requestId", "suggestion"}),
        ("malformed.http", 400, "BAD_REQUEST", set()),  # sent as it is: nothing in it can be of the request
    ],
)
def test_what_the_proxy_answers_by_itself_has_the_shape_of_all_errors(
    file: str, status: int, code: str, more: set[str]
) -> None:
    head, _, text = (PROXY / file).read_text(encoding="utf-8").rpartition("\n\n")
    assert not head or f"content-length: {len(text)}" in head
    answer = json.loads(text.replace("%[var(txn.id),json(utf8s)]", "0").replace("%[date,utime(", "").replace(")]", ""))
    assert answer["success"] is False
    assert answer["error"].keys() == {"code", "message", "statusCode", *more}
    assert (answer["error"]["code"], answer["error"]["statusCode"]) == (code, status)
    assert answer["message"] == answer["error"]["message"]
