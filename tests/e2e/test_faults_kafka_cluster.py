"""Three Kafka brokers: the one that leads a partition dies under load, and nobody notices but by a pause."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.breakable import Bridge
from tests.support.deployments import ScaledOut
from tests.support.fixtures import unavailable
from tests.support.kafka_cluster import KafkaCluster
from tests.support.load import Load, expect_exactly
from tests.support.services import ServiceUnavailable

pytestmark = pytest.mark.services

PAUSE_SECONDS = 15
"""The longest that writes may be refused or wait."""


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    try:
        with KafkaCluster() as running:
            yield running
    except ServiceUnavailable as missing:
        unavailable(str(missing))


@pytest.fixture
def replicated(cluster: KafkaCluster, bridge: Bridge, tmp_path: Path) -> Iterator[ScaledOut]:
    running = ScaledOut(tmp_path, cluster, bridge, {"PENSTOCK_KAFKA__REPLICATION_FACTOR": "3"})
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_the_leader_of_a_partition_is_killed_and_writes_go_on(replicated: ScaledOut, cluster: KafkaCluster) -> None:
    topic = f"{replicated.environment()['PENSTOCK_KAFKA__TOPIC_PREFIX']}.events"
    project = replicated.create_project()
    with Load(replicated, project, pause_seconds=0.01) as load:
        load.wait_for_more()
        leader = cluster.leader(topic, 0)
        leader.kill()
        load.wait_for_more(100, PAUSE_SECONDS)
        assert cluster.leader(topic, 0) is not leader
        leader.start()
        cluster.wait_until_in_sync(topic, 20)
        load.wait_for_more()
    assert max(one.seconds for one in load.answers) < PAUSE_SECONDS
    assert load.statuses() <= {200, 503}
    expect_exactly(load, replicated, project)
    replicated.wait_ready()
