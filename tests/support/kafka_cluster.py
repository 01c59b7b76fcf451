"""Three Kafka brokers that replicate: each record is on three nodes, and two of them must have it before it is confirmed.

Each is the broker of ``kafka_broker`` and a controller as well. They take about 1.2 GB together.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from kafka.admin import KafkaAdminClient

from tests.support.kafka_broker import KafkaBroker, new_cluster_id
from tests.support.services import wait_until

_NODES = 3

_REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "unclean.leader.election.enable": "false",
    # A follower that stands still for so long no longer counts as a replica; by default that takes 30 s.
    "replica.lag.time.max.ms": "5000",
}


class KafkaCluster:
    """Starts all nodes on entry, kills them on exit."""

    def __init__(self) -> None:
        cluster_id = new_cluster_id()
        self.nodes = [KafkaBroker(heap="256m", cluster_id=cluster_id) for _ in range(_NODES)]
        voters = ",".join(f"{number}@{node.controller}" for number, node in enumerate(self.nodes, 1))
        for number, node in enumerate(self.nodes, 1):
            node.configure({**_REPLICATED, "node.id": str(number), "controller.quorum.voters": voters})
        self.bootstrap_servers = ",".join(node.bootstrap_servers for node in self.nodes)

    def leader(self, topic: str, partition: int) -> KafkaBroker:
        """The node that leads the partition."""
        return self.nodes[int(self._describe(topic)[partition]["leader_id"]) - 1]

    def wait_until_in_sync(self, topic: str, seconds: float) -> None:
        """Until every node has everything of the topic."""

        def in_sync() -> bool:
            return all(len(partition["isr_nodes"]) == _NODES for partition in self._describe(topic))

        wait_until(in_sync, seconds, f"all replicas of {topic}", poll_seconds=0.2)

    def _describe(self, topic: str) -> list[dict[str, Any]]:
        """What the brokers say of its partitions, in order."""
        servers = [node.bootstrap_servers for node in self.nodes if node.running]
        admin = KafkaAdminClient(bootstrap_servers=servers)
        try:
            found = admin.describe_topics([topic])[0]
        finally:
            admin.close()
        return sorted(found["partitions"], key=lambda one: one["partition_index"])

    def __enter__(self) -> Self:
        try:
            with ThreadPoolExecutor(_NODES) as pool:  # side by side: one alone has no quorum and answers nobody
                list(pool.map(KafkaBroker.start, self.nodes))
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.__exit__(kind, error, traceback)

    def _kill(self) -> None:
        for node in self.nodes:
            if node.running:
                node.kill()
