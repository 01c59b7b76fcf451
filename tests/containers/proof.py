"""The story: compose is started as README says, used, scaled, broken, replaced, and at the end every event is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.containers.compose import PROCESSES, Compose, Container
from tests.containers.deployment import Composed
from tests.containers.retries import attempts
from tests.containers.traffic import EVERYONE, Traffic
from tests.support.deployments import Project
from tests.support.services import LOOPBACK, REPOSITORY, wait_until

_ENDS_WITHIN_SECONDS = 10
_TOOLS = ("gcc", "cc", "make", "uv", "git", "pip", "pip3")
_PACKAGES_FOR_BUILDING = ("pip", "setuptools", "wheel")
_CODE_MB = 10
"""So large may be what changes with each version of the code."""

BOTH = ("writes", "reads")


class Failed(Exception):
    """Something is not as it must be."""


def expect(holds: object, otherwise: str) -> None:
    """Raises Failed where it does not hold."""
    if not holds:
        raise Failed(otherwise)


class Report:
    """What is printed while it goes on, and once more at the end."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Progress."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)

    def note(self, text: str) -> None:
        """A result, which is told again at the end."""
        self._lines.append(text)
        self.say(text)

    def summary(self) -> str:
        """All results."""
        return "\n".join([*self._lines, f"took {time.monotonic() - self._began:.0f} s"])


class Proof:
    """One run on a project that is not started yet; its image is built."""

    def __init__(self, compose: Compose, report: Report) -> None:
        self._compose = compose
        self._report = report

    def run(self, *, with_suite: bool) -> None:
        """All of it.

        Raises:
            Failed: something is not as it must be; also AssertionError, TimeoutError, DockerFailed.
        """
        self._configuration()
        self._image()
        self._healthy_alone()
        self._retried()
        self._start()
        self._hardened()
        self._first_steps()
        if with_suite:
            self._suites()
        self._under_traffic()
        self._verified()
        self._ends()

    # --- before anything breaks ---------------------------------------------------------------------------------------

    def _configuration(self) -> None:
        """Compose has nothing to say of its file."""
        said = self._compose.said("config", "--quiet")
        expect(not said, f"docker compose config: {said}")
        self._report.note("`docker compose config` is clean")

    def _image(self) -> None:
        """What is in the product's image, and what is not."""
        docker, image = self._compose.docker, self._compose.variables["PENSTOCK_IMAGE"]
        base = self._compose.variables["PYTHON_IMAGE"]
        sizes = [int(docker("image", "inspect", "--format", "{{.Size}}", name)) for name in (image, base)]
        whole, below = (size / 1e6 for size in sizes)
        self._report.note(f"image: {whole:.0f} MB, of which {whole - below:.0f} MB are penstock and its dependencies")
        found = self._inside(f"command -v {' '.join(_TOOLS)} || true; ls /opt /src 2>/dev/null | grep -v ':$' | xargs")
        expect(found == "penstock", f"more than penstock is in the image: {found}")
        expect(not self._importable("python", "chdb"), "the embedded engine is in the image")
        found = self._importable("$(readlink -f /opt/penstock/bin/python)", *_PACKAGES_FOR_BUILDING)
        expect(not found, f"Python in the image has what builds packages: {found}")
        layers = docker(
            "history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", image
        ).splitlines()
        copied = [int(layer.split()[0]) / 1e6 for layer in layers if "COPY" in layer and "/opt/penstock" in layer]
        self._report.note(f"of these, the code is {copied[0]:.1f} MB, a layer of its own")
        expect(len(copied) == 2 and copied[0] < _CODE_MB, f"code and dependencies are not a layer each: {copied} MB")
        found = self._inside("find / -xdev \\( -name .env -o -name '*.env' -o -name '*.key' \\) 2>/dev/null || true")
        expect(not found, f"files that may have secrets are in the image: {found}")
        steps = [
            docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", name).splitlines() for name in (image, base)
        ]
        own = "\n".join(step for step in steps[0] if step not in steps[1])
        expect("/opt/penstock" in own, "the image's history does not tell how it was made")
        expect(not re.search(r"(?i)(password|secret|token|key)\s*=", own), "a secret is in the image's history")
        labels = docker("image", "inspect", "--format", "{{json .Config.Labels}}", image)
        expect("org.opencontainers.image.title" in labels, f"the image has no labels: {labels}")

    def _healthy_alone(self) -> None:
        """The image's own health check finds whichever process is started, where nothing is told of ports."""
        docker = self._compose.docker
        nowhere = [
            "--env=PENSTOCK_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:9",
            "--env=PENSTOCK_CLICKHOUSE__URL=http://127.0.0.1:9",
        ]
        for process in PROCESSES:
            container = docker("run", "--detach", *nowhere, self._compose.variables["PENSTOCK_IMAGE"], process)
            try:
                wait_until(partial(self._is_healthy, container), 60, f"{process} alone to be healthy")
            finally:
                docker("rm", "--force", "--volumes", container)
        self._report.note("each process is healthy by the image's own check")

    def _is_healthy(self, container: str) -> bool:
        return self._compose.docker("inspect", "--format", "{{.State.Health.Status}}", container) == "healthy"

    def _importable(self, python: str, *packages: str) -> str:
        """Which of the packages this Python of the image has."""
        names = " ".join(packages)
        return self._inside(
            f'{python} -c "import importlib.util, sys; print(*filter(importlib.util.find_spec, sys.argv[1:]))" {names}'
        )

    def _inside(self, script: str) -> str:
        """What a script prints in a container of the product's image."""
        image = self._compose.variables["PENSTOCK_IMAGE"]
        return self._compose.docker("run", "--rm", "--entrypoint=bash", image, "-c", script)

    def _retried(self) -> None:
        """The proxy sends again what changes nothing the second time, and nothing else."""
        repeated, once = attempts(self._compose.docker, self._compose.variables)
        expect(min(repeated.values()) > 1, f"the proxy gave these to no other process: {repeated}")
        expect(set(once.values()) == {1}, f"the proxy sent these twice, or not at all: {once}")
        self._report.note(f"the proxy sends again what may be ({', '.join(repeated)}), and none of {len(once)} others")

    def _start(self) -> None:
        started = time.monotonic()
        self._compose.up()
        self._report.note(f"`docker compose up --detach --wait`: ready after {time.monotonic() - started:.1f} s")

    def _hardened(self) -> None:
        """Nobody is root, nothing is reached from other machines, the product's file systems cannot be written."""
        for container in self._compose.containers():
            host = container.details["HostConfig"]
            expect(container.service == "migrate" or self._user(container) > 0, f"{container.name} runs as root")
            bindings = [one["HostIp"] for ports in host["PortBindings"].values() for one in ports]
            expect(set(bindings) <= {LOOPBACK}, f"{container.name} is published beyond {LOOPBACK}: {bindings}")
            expect(not bindings or container.service == "proxy", f"{container.name} is published: {bindings}")
            expect(host["Memory"] > 0, f"{container.name} has no memory limit")
            expect(host["CapDrop"] == ["ALL"] and not host["CapAdd"], f"{container.name} has capabilities")
            if container.service in (*PROCESSES, "migrate", "proxy"):
                expect(host["ReadonlyRootfs"], f"{container.name} can write its root file system")
        self._report.note("no container runs as root or has a capability; one port is published, on 127.0.0.1")

    def _user(self, container: Container) -> int:
        """The number of the user that its first process runs as."""
        status = self._compose.docker("exec", container.id, "cat", "/proc/1/status")
        found = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
        assert found is not None
        return int(found.group(1))

    def _first_steps(self) -> None:
        """README's way to the first keys, and its first `curl`."""
        made = self._compose.execute("ingest", "penstock", "project", "create", "my-project")
        expect(made.returncode == 0, made.stderr)
        keys = re.findall(r"\b[ps]k_[\w-]+", made.stdout)
        expect(len(keys) == 2, f"no keys in: {made.stdout}")
        project = Project("", *keys)
        deployment = Composed(self._compose, REPOSITORY)
        deployment.wait_for_key(project.secret_key)
        answer = self._typed("curl http://127.0.0.1:8080/v1/track", project)
        expect('"success":true' in answer, f"README's first curl was answered: {answer}")
        deadline = time.monotonic() + 30
        while "signup" not in (answer := self._typed("curl http://127.0.0.1:8080/events -H", project)):
            expect(time.monotonic() < deadline, f"README's second curl was answered: {answer}")
            time.sleep(0.1)
        self._report.note("README's curl lines work with the keys of `penstock project create`")

    def _typed(self, beginning: str, project: Project) -> str:
        """What a command in README that begins so prints, with the keys and the address put in."""
        text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
        found = re.search(rf"^{re.escape(beginning)}(?:.*\\\n)*.*$", text, re.MULTILINE)
        expect(found, f"README has no {beginning!r}")
        assert found is not None
        command = found.group().replace("pk_…", project.public_key).replace("sk_…", project.secret_key)
        command = command.replace("http://127.0.0.1:8080", self._compose.url)
        return subprocess.run(["bash", "-c", f"{command} -s"], capture_output=True, text=True, check=True).stdout

    def _suites(self) -> None:
        """The end-to-end suite against what runs, and the contract of the gateways against containers of its own."""
        docker = self._compose.docker.environment
        self._tests("end-to-end tests against compose", "tests/e2e", **self._compose.environment)
        contract = ["tests/contract", "-m", "services and not bench"]
        self._tests("contract tests on testcontainers", *contract, **docker, TEST_SERVICES="docker")

    def _tests(self, what: str, *arguments: str, **variables: str) -> None:
        self._report.say(f"{what} …")
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not bench", *arguments]
        environment = {**os.environ, "REQUIRE_SERVICES": "1", **variables}
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"{what} failed:\n{done.stdout[-20_000:]}{done.stderr[-2000:]}")
        self._report.note(f"{what}: {done.stdout.strip().splitlines()[-1].strip('= ')}")

    # --- while it is used ---------------------------------------------------------------------------------------------

    def _under_traffic(self) -> None:
        """Everything is replaced, scaled and killed under load, and each acknowledged event is there, once."""
        deployment = Composed(self._compose, REPOSITORY)
        with deployment.known_names():
            projects = deployment.create_project(), deployment.create_project()
        with Traffic(deployment, *projects) as traffic:
            self._traffic = traffic
            self._when("nothing happens", partial(time.sleep, 3), served=BOTH)
            for service in PROCESSES:
                self._when(f"the only {service} is recreated", partial(self._recreate, service))
            self._when("all are scaled to two", self._scale, served=BOTH)
            for service in PROCESSES:
                self._when(f"one of two {service} is killed", partial(self._kill, service), silence=("poster",))
                self._when(f"it comes back ({service})", self._compose.up, served=BOTH)
            for service in ("kafka", "clickhouse"):
                self._when(f"{service} is restarted", partial(self._restart, service))
            for service in PROCESSES:
                self._when(f"both {service} are recreated", partial(self._recreate, service), served=BOTH)
            for service in ("kafka", "clickhouse"):
                self._when(f"{service} is recreated", partial(self._recreate, service))
            self._when("the proxy is recreated", partial(self._recreate, "proxy"), silence=EVERYONE)
        self._report.note(f"{traffic.expect_exactly()} acknowledged events are in every read, each once")

    def _when(
        self, what: str, happens: Callable[[], None], *, served: Iterable[str] = (), silence: Collection[str] = ()
    ) -> None:
        """Does it and waits until clients are served again.

        Args:
            served: of `writes` and `reads`, what must succeed all the time. Else a client may also be told when to come
                again (`Answers.faults`).
            silence: the clients whose connection may break.
        """
        started = time.monotonic()
        happens()
        seconds = time.monotonic() - started
        answers = self._traffic.answers()
        self._report.note(f"{what} ({seconds:.1f} s): {answers}")
        faults = answers.faults(silence)
        expect(not faults, f"{what}: {faults[:5]}")
        refused = answers.refused(served)
        expect(not refused, f"{what}: {refused[:5]}")

    def _recreate(self, service: str) -> None:
        self._compose.up(service, recreate=True)

    def _scale(self) -> None:
        self._compose.set(**{f"{service.upper()}_REPLICAS": "2" for service in PROCESSES})
        self._compose.up()
        for service in PROCESSES:
            running = [one for one in self._compose.containers(service) if one.is_running]
            expect(len(running) == 2, f"{len(running)} {service} run")

    def _kill(self, service: str) -> None:
        victim = self._compose.containers(service)[0]
        self._compose.docker("kill", victim.id)
        self._report.say(f"killed {victim.name}")
        time.sleep(3)

    def _restart(self, service: str) -> None:
        self._compose("restart", service)
        self._compose.up()

    # --- at the end ---------------------------------------------------------------------------------------------------

    def _verified(self) -> None:
        done = self._compose.penstock("verify", "--json")
        expect(done.returncode == 0, f"penstock verify: {done.stdout[-4000:]}{done.stderr[-2000:]}")
        found = json.loads(done.stdout)
        expect(found["ok"] is True, f"penstock verify: {done.stdout[-4000:]}")
        self._report.note(f"penstock verify: 0 missing, 0 double ({_events(found)} events in the log)")

    def _ends(self) -> None:
        """Every process of the product is told to stop, and ends by itself, in time, with 0."""
        started = time.time()
        self._compose("stop", *PROCESSES)
        ended = self._compose.containers(*PROCESSES)
        codes = {one.name: one.exit_code for one in ended}
        expect(set(codes.values()) == {0}, f"exit codes after SIGTERM: {codes}")
        seconds = max(one.finished_at for one in ended) - started
        expect(seconds <= _ENDS_WITHIN_SECONDS, f"the last of them took {seconds:.1f} s to end")
        self._report.note(f"SIGTERM: all processes ended with 0, the last of them after {seconds:.1f} s")


def _events(found: dict[str, object]) -> int:
    partitions = found["partitions"]
    assert isinstance(partitions, list)
    return sum(int(one["inLog"]) for one in partitions)


@contextmanager
def taken_down(compose: Compose, report: Report) -> Iterator[None]:
    """Whatever happens meanwhile, nothing of it is left; what the containers said is told where it failed."""
    try:
        yield
    except BaseException:
        _tell_logs(compose, report)
        raise
    finally:
        compose.down()
        report.say("everything is taken down")


def _tell_logs(compose: Compose, report: Report) -> None:
    for container in compose.containers():
        report.say(f"--- the end of {container.name} ({_state(container)})")
        print(compose.docker("logs", "--tail", "15", container.id), flush=True)


def _state(container: Container) -> str:
    return "running" if container.is_running else f"ended with {container.exit_code}"
