"""The two forms, started once for all end-to-end tests. Tests that kill processes start their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clickhouse_server import BridgeServer
from tests.support.client import Client
from tests.support.deployments import Deployment, Embedded, Project, ScaledOut
from tests.support.fixtures import bridge, broker, needed, the_bridge, the_broker
from tests.support.kafka_broker import KafkaBroker
from tests.support.services import ServiceUnavailable

__all__ = ["bridge", "broker"]

FORMS = ["embedded", "kafka"]


@pytest.fixture(scope="session")
def kafka_services() -> Iterator[tuple[KafkaBroker, BridgeServer]]:
    try:
        with KafkaBroker() as broker, BridgeServer() as bridge:
            yield broker, bridge
    except ServiceUnavailable as missing:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(str(missing))


def make(form: str, directory: Path, request: pytest.FixtureRequest) -> Deployment:
    """A deployment of the form, not started."""
    if form == "embedded":
        return Embedded(directory)
    return ScaledOut(directory, *request.getfixturevalue("kafka_services"))


@pytest.fixture(scope="session", params=FORMS)
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One running product that tests share; each takes a project of its own."""
    running = make(request.param, tmp_path_factory.mktemp(request.param), request)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(params=FORMS)
def own_deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """A running product for one test, which may kill its processes."""
    running = make(request.param, tmp_path, request)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def project(deployment: Deployment) -> Project:
    return deployment.create_project()


@pytest.fixture
def client(deployment: Deployment, project: Project) -> Iterator[Client]:
    made = Client(deployment, project)
    yield made
    made.close()


@pytest.fixture(scope="package")
def scaled_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScaledOut]:
    """A running product that tests share, on services that they may break; see `mended`."""
    directory = tmp_path_factory.mktemp("scaled-out")
    settings = {
        "PENSTOCK_KAFKA__DELIVERY_TIMEOUT_SECONDS": "4",
        "PENSTOCK_CLICKHOUSE__QUERY_TIMEOUT_SECONDS": "2",
    }
    running = ScaledOut(directory, needed(the_broker), needed(the_bridge), settings)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def mended(scaled_out: ScaledOut, broker: KafkaBroker, bridge: BridgeServer) -> ScaledOut:
    """The same, ready to be used: its services run, whatever the test before did to them."""
    del broker, bridge
    scaled_out.wait_ready()
    return scaled_out
