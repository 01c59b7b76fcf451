"""The two forms, started once for all end-to-end tests. Tests that kill processes start their own.

Where TEST_COMPOSE describes one, a project of compose that runs takes the place of both, and of the tests those stay that
share a product: see `tests.containers`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.breakable import Bridge, Broker
from tests.support.client import Client
from tests.support.clocks import SetClock
from tests.support.deployments import Deployment, Embedded, Project, ScaledOut
from tests.support.fixtures import bridge, broker, needed, the_bridge, the_broker, the_clickhouse

__all__ = ["bridge", "broker"]

FORMS = ["embedded", "kafka"]

COMPOSED = "TEST_COMPOSE" in os.environ

SENDING = {
    "PENSTOCK_WEBHOOKS__ALLOWED_ADDRESSES": '["127.0.0.1/32"]',
    "PENSTOCK_WEBHOOKS__TIMEOUT_SECONDS": "3",
}
"""Webhooks reach this machine by one address, and no other that is not public."""


def make(form: str, directory: Path, settings: Mapping[str, str] | None = None, *, ingests: int = 1) -> Deployment:
    """A deployment of the form, not started; its services run."""
    if form == "embedded":
        return Embedded(directory, settings)
    return ScaledOut(directory, needed(the_broker), needed(the_clickhouse), settings, ingests=ingests)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the tests that need not start a product, where one is given."""
    if COMPOSED:
        others = [item for item in items if not _shares_a_product(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def _shares_a_product(item: pytest.Item) -> bool:
    """Whether it takes whatever product is there."""
    form = getattr(item, "callspec", None) and item.callspec.params.get("deployment")  # type: ignore[attr-defined]
    return "deployment" in getattr(item, "fixturenames", ()) and form == "compose"


@contextmanager
def _composed(directory: Path) -> Iterator[Deployment]:
    from tests.containers.compose import Compose
    from tests.containers.deployment import Composed

    running = Composed(Compose.from_environment(), directory)
    with running.known_names():
        yield running


@pytest.fixture(scope="session", params=["compose"] if COMPOSED else FORMS)
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One running product that tests share; each takes a project of its own."""
    if COMPOSED:
        with _composed(tmp_path_factory.mktemp("compose")) as given:
            yield given
        return
    running = make(request.param, tmp_path_factory.mktemp(request.param), SENDING, ingests=2)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(params=FORMS)
def own_deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """A running product for one test, which may kill its processes."""
    running = make(request.param, tmp_path)
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
def clock(tmp_path_factory: pytest.TempPathFactory) -> SetClock:
    """The clock of `scaled_out`, which is right unless a test sets it."""
    return SetClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="package")
def scaled_out(tmp_path_factory: pytest.TempPathFactory, clock: SetClock) -> Iterator[ScaledOut]:
    """A running product that tests share, on services that they may break; see `mended`."""
    directory = tmp_path_factory.mktemp("scaled-out")
    settings = {
        "PENSTOCK_KAFKA__DELIVERY_TIMEOUT_SECONDS": "4",
        "PENSTOCK_CLICKHOUSE__QUERY_TIMEOUT_SECONDS": "2",
        **clock.environment,
    }
    running = ScaledOut(directory, needed(the_broker), needed(the_bridge), settings)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def mended(scaled_out: ScaledOut, clock: SetClock, broker: Broker, bridge: Bridge) -> ScaledOut:
    """The same, ready to be used: its services run and its clock is right, whatever the test before did to them."""
    del broker, bridge
    clock.set_off(0)
    scaled_out.wait_ready()
    return scaled_out
