"""The repository's docker-compose.yml as a project of its own, so that one that runs on this machine is left alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.containers.docker import Docker, run, tried
from tests.support.services import LOOPBACK, REPOSITORY

FILE = "docker-compose.yml"
PROJECT = "penstock-test"
_INTERPOLATED = frozenset(re.findall(r"\$\{(\w+)", (REPOSITORY / FILE).read_text(encoding="utf-8")))
"""What the file takes from outside. The environment would go before the env file, so it must not have any of it."""

PROCESSES = ("ingest", "consume", "query")
PORTS = {"ingest": 8080, "query": 8081}
"""Of those behind the proxy."""
"""What can be scaled."""


@dataclass(frozen=True)
class Container:
    """One that runs, or ran."""

    id: str
    service: str
    details: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As `docker ps` shows it."""
        return str(self.details["Name"]).removeprefix("/")

    @property
    def is_running(self) -> bool:
        """Whether it does."""
        return bool(self.details["State"]["Running"])

    @property
    def exit_code(self) -> int:
        """0 also while it runs."""
        return int(self.details["State"]["ExitCode"])

    @property
    def finished_at(self) -> float:
        """When it ended, in seconds since 1970."""
        return datetime.fromisoformat(self.details["State"]["FinishedAt"]).timestamp()

    def address(self, network: str) -> str:
        """Where this machine reaches it."""
        return str(self.details["NetworkSettings"]["Networks"][f"{PROJECT}_{network}"]["IPAddress"])


class Compose:
    """A project.

    Args:
        command: how compose is called.
        env_file: what takes the place of .env: image names, the password, the port, how many of each.
    """

    def __init__(self, docker: Docker, command: Sequence[str], env_file: Path) -> None:
        self.docker = docker
        self.command = list(command)
        self.env_file = env_file

    @classmethod
    def from_environment(cls) -> Compose:
        """What `environment` of another process described."""
        described = json.loads(os.environ["TEST_COMPOSE"])
        return cls(Docker(described["host"]), described["command"], Path(described["env_file"]))

    @property
    def environment(self) -> dict[str, str]:
        """Variables that tell another process of it."""
        described = {"host": self.docker.host, "command": self.command, "env_file": str(self.env_file)}
        return {**self.docker.environment, "TEST_COMPOSE": json.dumps(described)}

    @property
    def url(self) -> str:
        """Where users reach all routes."""
        return f"http://{self.variables['LISTEN']}"

    @property
    def variables(self) -> dict[str, str]:
        """What the env file has."""
        lines = self.env_file.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if line)

    def set(self, **variables: str) -> None:
        """Changes the env file; what is running takes no notice before the next `up`."""
        found = {**self.variables, **variables}
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in found.items()), encoding="utf-8")

    def __call__(self, *arguments: str, timeout_seconds: float = 600) -> str:
        """Runs `docker compose …`; what it printed.

        Raises:
            DockerFailed: it failed, or took too long.
        """
        return run(
            self._line(*arguments),
            environment=self.docker.environment,
            without=_INTERPOLATED,
            directory=REPOSITORY,
            timeout_seconds=timeout_seconds,
        )

    def said(self, *arguments: str) -> str:
        """All that a command prints, warnings and errors included."""
        done = self._captured(self._line(*arguments), 60)
        return done.stdout + done.stderr

    def up(self, *services: str, recreate: bool = False) -> None:
        """Starts what does not run, and waits until all is healthy."""
        again = ["--force-recreate"] if recreate else []
        self("up", "--detach", "--wait", "--wait-timeout", "180", *again, *services)

    def penstock(self, *arguments: str, timeout_seconds: float = 150) -> subprocess.CompletedProcess[str]:
        """Runs a command of `penstock` in a container of its own, as README says."""
        line = self._line("run", "--rm", "--no-deps", "--no-TTY", "penstock", *arguments)
        return self._captured(line, timeout_seconds)

    def execute(self, service: str, *command: str, timeout_seconds: float = 150) -> subprocess.CompletedProcess[str]:
        """Runs a command in a container that runs."""
        return self._captured(self._line("exec", "--no-TTY", service, *command), timeout_seconds)

    def containers(self, *services: str) -> list[Container]:
        """All of them, also such as have ended; or those of some services. By name."""
        chosen = {name for name in self("ps", "--all", "--quiet", *services).split() if name}
        found = json.loads(self.docker("inspect", *chosen)) if chosen else []
        made = [Container(one["Id"], one["Config"]["Labels"]["com.docker.compose.service"], one) for one in found]
        return sorted(made, key=lambda one: one.name)

    def gateway(self, network: str = "default") -> str:
        """The address of this machine as containers see it."""
        found = json.loads(self.docker("network", "inspect", f"{PROJECT}_{network}"))
        return str(found[0]["IPAM"]["Config"][0]["Gateway"])

    def down(self) -> None:
        """Removes everything of it, data included."""
        self("down", "--volumes", "--remove-orphans", "--timeout", "20")

    def _line(self, *arguments: str) -> list[str]:
        return [
            *self.command,
            *("--file", FILE, "--env-file", str(self.env_file), "--project-name", PROJECT),
            *arguments,
        ]

    def _captured(self, line: list[str], timeout_seconds: float) -> subprocess.CompletedProcess[str]:
        return tried(
            line,
            environment=self.docker.environment,
            without=_INTERPOLATED,
            directory=REPOSITORY,
            timeout_seconds=timeout_seconds,
        )


def env_file(path: Path, images: Mapping[str, str], port: int, settings: Mapping[str, str]) -> Path:
    """Writes the file that takes the place of .env, and the one of penstock's own settings beside it."""
    own = path.with_name("penstock.env")
    own.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    given = {
        **images,
        "PENSTOCK_IMAGE": f"{PROJECT}/penstock",
        "CLICKHOUSE_PASSWORD": "a-password-of-tests",
        "LISTEN": f"{LOOPBACK}:{port}",
        "PENSTOCK_ENV_FILE": str(own),
    }
    path.write_text("".join(f"{name}={value}\n" for name, value in given.items()), encoding="utf-8")
    return path


__all__ = ["PORTS", "PROCESSES", "Compose", "Container", "env_file"]
