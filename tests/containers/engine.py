"""A Docker engine on a bare Debian machine, and compose.

Where an engine answers, it is used. Else, as root, Debian's packages are installed and an engine of our own is started,
with its data in ~/.cache/penstock-tests, so that images are built once; it is ended when the work is done. (Where
installing starts the machine's own, as systemd does, that one is used, and stays.)
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import ssl
import subprocess
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.containers.docker import Docker, DockerFailed, need, run
from tests.support.kafka_broker import cache_dir
from tests.support.services import Process, ServiceUnavailable, wait_until

COMPOSE_VERSION = "v2.40.3"
_COMPOSE = "github.com/docker/compose/v2/cmd"

_TOOLCHAIN = "v0.0.1-go1.24.9.linux-amd64"
_TOOLCHAIN_SHA256 = "2a683c9c1d65a0e221519c21850a3ed5fe5ff287d39d74e35e4af7ceb9e333b2"
_TOOLCHAIN_URL = f"https://proxy.golang.org/golang.org/toolchain/@v/{_TOOLCHAIN}.zip"

_PACKAGES = {"dockerd": "docker.io", "docker": "docker-cli", "iptables": "iptables"}
"""Program to package. The first brings the second in some releases of Debian, and not in others."""

Say = Callable[[str], None]


@contextmanager
def engine(say: Say) -> Iterator[Docker]:
    """The engine that answers, or one of our own for as long as it is needed.

    Raises:
        ServiceUnavailable: there is none, and none can be started here.
    """
    found = Docker()
    if not found.version():
        for program, package in _PACKAGES.items():
            need(program, package, say)
    if version := found.version():  # also where installing it has started it
        say(f"engine {version} runs")
        yield found
        return
    data = cache_dir() / "docker"
    data.mkdir(parents=True, exist_ok=True)
    pid_file = data.with_suffix(".pid")
    with _alone(data, pid_file), tempfile.TemporaryDirectory(prefix="penstock-docker-") as directory:
        docker = Docker(f"unix://{directory}/docker.sock")
        places = {"--data-root": data, "--exec-root": f"{directory}/exec", "--pidfile": pid_file}
        arguments = [f"{option}={place}" for option, place in places.items()]
        process = Process(["dockerd", f"--host={docker.host}", *arguments], log_file=Path(directory) / "dockerd.log")
        process.start()
        try:
            process.wait_ready(lambda: bool(docker.version()), 60, "the Docker engine to answer")
        except (RuntimeError, TimeoutError) as failed:
            process.kill()
            raise ServiceUnavailable(f"the Docker engine does not start here: {failed}") from None
        try:
            say(f"engine {docker.version()} started, its data in {data}")
            yield docker
        finally:
            process.terminate(60)


@contextmanager
def _alone(data: Path, pid_file: Path) -> Iterator[None]:
    """Two engines cannot share their data: this is the only run that has them, and what an earlier one left is ended."""
    with data.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceUnavailable(f"another run has an engine on {data}: wait for its end") from None
        if left := _engine_of(pid_file):
            os.kill(left, signal.SIGTERM)
            wait_until(lambda: not _engine_of(pid_file), 60, "the engine of an earlier run to end")
        yield


def _engine_of(pid_file: Path) -> int:
    """The engine that the file names and that runs; 0 where none does."""
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text(encoding="ascii"))
        if b"dockerd" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def compose_command(docker: Docker, say: Say) -> list[str]:
    """How compose is called: `docker compose` where it is there, else a program that is built once from its Go module.

    Raises:
        ServiceUnavailable: it is not there, and cannot be built.
    """
    try:
        docker("compose", "version")
    except DockerFailed:
        return [str(_built_compose(say))]
    return ["docker", "compose"]


def _built_compose(say: Say) -> Path:
    program = cache_dir() / f"docker-compose-{COMPOSE_VERSION}"
    if program.exists():
        return program
    go = _go(say)
    say(f"building compose {COMPOSE_VERSION} (some minutes, once)")
    with tempfile.TemporaryDirectory(prefix="penstock-compose-", dir=cache_dir()) as made:
        directory = Path(made)
        # `go install` refuses the module because of its exclude directives: a module that imports it has none.
        (directory / "main.go").write_text(f'package main\n\nimport _ "{_COMPOSE}"\n', encoding="utf-8")
        result = directory / "docker-compose"
        variables = {"GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
        for arguments in (
            ["mod", "init", "penstock.test/compose"],
            ["get", f"{_COMPOSE}@{COMPOSE_VERSION}"],
            ["build", "-ldflags", "-s -w", "-o", str(result), _COMPOSE],
        ):
            try:
                run([go, *arguments], environment=variables, directory=directory, timeout_seconds=1800)
            except DockerFailed as failed:
                raise ServiceUnavailable(str(failed)) from None
        result.rename(program)
    return program


def _go(say: Say) -> Path:
    """A Go that is new enough: this machine's, else one from Go's own proxy."""
    for found in (shutil.which("go"), "/usr/local/go/bin/go"):
        if found and Path(found).exists() and _is_new(found):
            return Path(found)
    root = cache_dir() / "go"
    program = root / f"golang.org/toolchain@{_TOOLCHAIN}" / "bin" / "go"
    if not program.exists():
        say("fetching a Go toolchain (80 MB, once)")
        archive = cache_dir() / "go.zip"
        if platform.machine() != "x86_64":
            raise ServiceUnavailable(
                "compose is missing, and a Go to build it is fetched for x86_64 alone: install Go 1.21"
            )
        with urllib.request.urlopen(_TOOLCHAIN_URL, context=ssl.create_default_context(), timeout=300) as answer:
            archive.write_bytes(answer.read())
        if hashlib.sha256(archive.read_bytes()).hexdigest() != _TOOLCHAIN_SHA256:
            raise ServiceUnavailable(f"what {_TOOLCHAIN_URL} gave is not what it was")
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(root)
        archive.unlink()
        for file in [program, *program.parent.parent.glob("pkg/tool/*/*")]:
            file.chmod(0o755)
    return program


def _is_new(go: str) -> bool:
    """Whether it fetches the version that a module asks for by itself, which began with 1.21."""
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    major, _, minor = answer.strip().removeprefix("go").partition(".")
    return (int(major or 0), int(minor.partition(".")[0] or 0)) >= (1, 21)
