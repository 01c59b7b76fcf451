"""The embedded form's disk is full: what does not fit is refused or waits, and all goes on once there is room."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.deployments import Embedded, Project
from tests.support.fixtures import unavailable
from tests.support.load import Load, expect_exactly
from tests.support.services import ServiceUnavailable, wait_until
from tests.support.small_disk import SmallDisk, mounted

pytestmark = pytest.mark.services

FULL_SECONDS = 1
NEARLY_FULL_BYTES = {"log": 24 << 20, "tables": 56 << 20, "temporary": 0}
"""So much must be free, or nothing is begun: what fails in the middle may not be noticed by the engine."""


@dataclass
class Disks:
    """A running product with a file system for each of its kinds of files."""

    product: Embedded
    log: SmallDisk
    tables: SmallDisk
    temporary: SmallDisk


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    directory = tmp_path_factory.mktemp("disks")
    temporary = directory / "temporary"
    product = Embedded(directory, {"TMPDIR": str(temporary)})
    data = directory / "data"
    try:
        with mounted(data, 64) as log, mounted(data / "tables", 300) as tables, mounted(temporary, 32) as scratch:
            try:
                product.start()
                yield Disks(product, log, tables, scratch)
            finally:
                product.stop()
    except ServiceUnavailable as missing:
        unavailable(str(missing))


def reads(product: Embedded, project: Project) -> set[int]:
    """The statuses of a read of each kind."""
    paths = ("/events", "/events/names", "/events/stats")
    return {httpx.get(product.query_url + path, headers=project.reading).status_code for path in paths}


def readiness(product: Embedded) -> int:
    return httpx.get(f"{product.query_url}/readyz").status_code


def test_where_the_log_is_full_writes_are_refused_and_reads_answer(disks: Disks) -> None:
    product = disks.product
    project = product.create_project()
    with Load(product, project, pause_seconds=0.01) as load:
        load.wait_for_more()
        disks.log.fill()
        full = time.monotonic()
        wait_until(lambda: sum(one.status == 503 for one in load.since(full)) > 20, 20, "refusals")
        refused_since = time.monotonic()
        time.sleep(FULL_SECONDS)
        assert reads(product, project) == {200}
        assert readiness(product) == 503
        refused = load.since(refused_since)
        disks.log.make_room()
        load.wait_for_more(seconds=20)
    assert {one.status for one in refused[:-10]} == {503}
    assert all(int(one.headers["Retry-After"]) >= 1 for one in refused if one.status == 503)
    assert readiness(product) == 200
    expect_exactly(load, product, project)


@pytest.mark.parametrize("which", ["tables", "temporary"])
def test_where_the_tables_have_no_room_events_are_taken_in_and_shown_later(disks: Disks, which: str) -> None:
    """The engine takes what it inserts from a temporary file."""
    product, disk = disks.product, getattr(disks, which)
    project = product.create_project()
    with Load(product, project, pause_seconds=0.01) as load:
        load.wait_for_more()
        before = retries(product)

        def tried_again() -> bool:
            disk.fill(leave_bytes=NEARLY_FULL_BYTES[which])  # again: an insert under way gives back the room it had
            return retries(product) >= before + 3

        wait_until(tried_again, 20, "inserts to be tried again", poll_seconds=0.1)
        disk.fill()
        assert reads(product, project) == {200}
        load.wait_for_more()
        disk.make_room()
        load.wait_for_more()
    assert load.statuses() == {200}
    expect_exactly(load, product, project)
    wait_until(lambda: product.age_ms(project) == 0, 20, "the view to be new")


def retries(product: Embedded) -> float:
    """How often the writer has tried a step again."""
    lines = httpx.get(f"{product.query_url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("penstock_insert_retries_total"))


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[tuple[Embedded, SmallDisk]]:
    """A product that is not started, and the disk on which it has everything."""
    product = Embedded(tmp_path)
    try:
        with mounted(tmp_path / "data", 250) as disk:
            try:
                yield product, disk
            finally:
                product.stop()
    except ServiceUnavailable as missing:
        unavailable(str(missing))


def test_a_full_disk_loses_nothing_also_where_the_process_is_killed_on_it(
    own_disk: tuple[Embedded, SmallDisk],
) -> None:
    product, disk = own_disk
    product.start()
    project = product.create_project()
    with Load(product, project, pause_seconds=0.01) as load:
        for kill in (False, True):
            load.wait_for_more()
            disk.fill(leave_bytes=NEARLY_FULL_BYTES["log"])
            full = time.monotonic()
            wait_until(lambda full=full: any(one.status == 503 for one in load.since(full)), 20, "refusals")  # type: ignore[misc] # mypy does not infer a lambda's default
            time.sleep(FULL_SECONDS)
            disk.fill()
            assert reads(product, project) <= {200, 503}
            if kill:
                product.stop()
            disk.make_room()
            if kill:
                product.start()
        load.wait_for_more(seconds=20)
    assert load.statuses() == {200, 503}
    expect_exactly(load, product, project)
