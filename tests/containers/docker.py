"""Docker by its command line, and what has to be installed for it.

What is needed of an engine is one subprocess each, and shows what a user would type.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tests.support.services import ServiceUnavailable


class DockerFailed(Exception):
    """A command of Docker failed; the text has its last words."""


def need(program: str, package: str, say: Callable[[str], None]) -> None:
    """Installs Debian's package where the program is missing.

    Raises:
        ServiceUnavailable: this is not Debian, or not root, or the package is not to be had.
    """
    if shutil.which(program):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ServiceUnavailable(f"{program} is missing, and cannot be installed from here: install {package} first")
    say(f"installing {package}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(["apt-get", "update", "-qq"], environment=quiet)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], environment=quiet)
    except DockerFailed as failed:
        raise ServiceUnavailable(str(failed)) from None


class Docker:
    """An engine.

    Args:
        host: its address, as in DOCKER_HOST. Default: the one that the command line takes.
    """

    def __init__(self, host: str | None = None) -> None:
        self.host = host or os.environ.get("DOCKER_HOST", "")

    @cached_property
    def environment(self) -> dict[str, str]:
        """The variables with which other programs reach the engine, and build with what is there."""
        found = {"DOCKER_HOST": self.host} if self.host else {}
        plain = {**os.environ, **found}
        if subprocess.run(["docker", "buildx", "version"], env=plain, capture_output=True, check=False).returncode != 0:
            found["DOCKER_BUILDKIT"] = "0"
        return found

    def version(self) -> str:
        """The engine's; empty where none answers, or the command line is missing."""
        if shutil.which("docker") is None:
            return ""
        try:
            return self("version", "--format", "{{.Server.Version}}", timeout_seconds=20)
        except DockerFailed:
            return ""

    def __call__(
        self,
        *arguments: str | Path,
        timeout_seconds: float = 900,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Runs `docker …`; what it printed.

        Raises:
            DockerFailed: it failed, or took too long.
        """
        return run(
            ["docker", *arguments],
            environment={**self.environment, **(environment or {})},
            timeout_seconds=timeout_seconds,
        )


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    directory: Path | None = None,
    timeout_seconds: float = 900,
) -> str:
    """Runs a program that must succeed; what it printed. See `tried`.

    Raises:
        DockerFailed: it did not, or took too long.
    """
    done = tried(
        command, environment=environment, without=without, directory=directory, timeout_seconds=timeout_seconds
    )
    if done.returncode != 0:
        raise DockerFailed(f"`{_shown(command)}` failed with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.strip()


def tried(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    directory: Path | None = None,
    timeout_seconds: float = 900,
) -> subprocess.CompletedProcess[str]:
    """Runs a program, whatever becomes of it.

    Args:
        environment: in addition to this process's, of which the names in `without` are left out.

    Raises:
        DockerFailed: it took too long.
    """
    try:
        return subprocess.run(
            list(map(str, command)),
            env={name: value for name, value in os.environ.items() if name not in without} | dict(environment or {}),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise DockerFailed(f"`{_shown(command)}` did not end within {timeout_seconds:g} s") from late


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(map(str, command))[:200]
