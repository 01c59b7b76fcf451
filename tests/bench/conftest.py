"""The deployments under load: started for one module, with a broker at full speed."""

from collections.abc import Iterator

import pytest

from tests.support.clickhouse_server import BridgeServer
from tests.support.deployments import Embedded, Project, ScaledOut
from tests.support.kafka_broker import KafkaBroker


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    running = Embedded(tmp_path_factory.mktemp("embedded"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def scaled_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScaledOut]:
    with KafkaBroker(fast_start=False) as broker, BridgeServer() as bridge:
        running = ScaledOut(tmp_path_factory.mktemp("kafka"), broker, bridge, ingests=2)
        try:
            running.start()
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="module")
def embedded_project(embedded: Embedded) -> Project:
    return embedded.create_project()


@pytest.fixture(scope="module")
def scaled_out_project(scaled_out: ScaledOut) -> Project:
    return scaled_out.create_project()
