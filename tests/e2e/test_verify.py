"""`penstock verify` beside the running product, and without it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.breakable import Bridge, Broker
from tests.support.client import Client
from tests.support.deployments import Deployment, Embedded, ScaledOut
from tests.support.fixtures import server_tables

pytestmark = pytest.mark.services


def fill(client: Client) -> None:
    """Events, retries and a deletion, all of it in the tables."""
    for number in range(3):
        client.batch([{"event": f"name {one % 3}", "email": f"user{one}@example.com"} for one in range(200)])
        client.track({"event": "once", "email": "ada@example.com"}, key=f"order {number // 2}")
    assert client.delete("name 1").status_code == 200
    client.track({"event": "last", "email": "ada@example.com"})
    client.read("/events", after=client.position)


def test_it_agrees_beside_the_running_product(own_deployment: Deployment) -> None:
    client = Client(own_deployment, own_deployment.create_project())
    fill(client)
    found = own_deployment.cli_json("verify")
    client.close()
    _expect_agreement(found)


def _expect_agreement(found: dict[str, Any]) -> None:
    assert (found["ok"], found["missing"], found["double"], found["orphaned"]) == (True, 0, 0, 0)
    sums = {key: sum(part[key] for part in found["partitions"]) for key in ("inLog", "repeated", "deleted", "stored")}
    assert sums == {"inLog": 604, "repeated": 1, "deleted": 201, "stored": 402}
    assert {projection["name"]: projection["stored"] for projection in found["projections"]} == {
        "events_by_contact": 402,
        "events_by_name": 402,
        "event_counts 0": 402,
        "event_counts 60": 402,
        "event_counts 3600": 402,
        "event_counts 86400": 402,
        "contacts": 201,
        "subscriptions": 0,
        "memberships": 0,
    }
    assert found["derivedIds"]["stored"] == 2


def test_it_agrees_without_a_running_penstock(tmp_path: Path) -> None:
    deployment = Embedded(tmp_path)
    deployment.start()
    try:
        client = Client(deployment, deployment.create_project())
        fill(client)
        client.close()
        assert deployment.processes()["up"].terminate() == 0
        _expect_agreement(deployment.cli_json("verify"))
        _damage_embedded(tmp_path / "data")
        done = deployment.cli("verify")
        assert done.returncode == 1
        assert "They do not agree: 1 missing, 0 double, 0 orphaned." in done.stdout
        assert "missing in events_by_name" in done.stdout
        assert done.stderr == ""
    finally:
        deployment.stop()


def _damage_embedded(directory: Path) -> None:
    """In a process of its own: chDB takes one directory a process."""
    code = (
        "import sys, pathlib; from penstock.clickhouse.chdb import open_embedded; "
        "from penstock.settings import ClickHouse; "
        "tables = open_embedded(pathlib.Path(sys.argv[1]), ClickHouse()); "
        "tables.execute('DELETE FROM events_by_name WHERE id = (SELECT min(id) FROM events)'); tables.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(directory)], check=True, timeout=60)


def test_it_finds_what_is_wrong_beside_the_running_product(tmp_path: Path, broker: Broker, bridge: Bridge) -> None:
    """(Of the embedded form the tables belong to the running process: nobody else can do them harm.)"""
    deployment = ScaledOut(tmp_path, broker, bridge)
    deployment.start()
    try:
        client = Client(deployment, deployment.create_project())
        fill(client)
        client.close()
        _damage(deployment.environment())
        done = deployment.cli("verify", "--json")
    finally:
        deployment.stop()
    assert done.returncode == 1
    assert '"missing": 1, "double": 0, "orphaned": 0, "examples"' in done.stdout
    assert done.stderr == ""


def _damage(environment: dict[str, str]) -> None:
    tables = server_tables(environment["PENSTOCK_CLICKHOUSE__URL"], environment["PENSTOCK_CLICKHOUSE__DATABASE"])
    tables.execute("DELETE FROM events WHERE id = (SELECT min(id) FROM events)")
    tables.close()


def test_it_says_where_nothing_is(tmp_path: Path) -> None:
    done = Embedded(tmp_path).cli("verify")
    assert done.returncode == 1
    assert "no penstock has run there" in done.stderr
