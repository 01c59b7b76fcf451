"""An endpoint of webhooks that tests start, kill, and ask what it got; see `tests.support.receiver`."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support.deployments import clean_environment
from tests.support.services import LOOPBACK, Process, free_port


class Endpoint:
    """A receiver process. What it got stays known when it is killed.

    Args:
        host: its address, for itself and for who sends.
    """

    def __init__(self, directory: Path, name: str = "receiver", *, host: str = LOOPBACK) -> None:
        self.port = free_port()
        self.host = host
        self.url = f"http://{host}:{self.port}/hooks"
        self._file = directory / f"{name}.jsonl"
        self._file.touch()
        self._log = directory / f"{name}.log"
        self._process: Process | None = None

    def start(self, *secrets: str, failing: float = 0.0, silent: bool = False, status: int = 0) -> None:
        """Starts it, or starts it anew, and waits until it answers."""
        self.stop()
        arguments = [
            f"--host={self.host}",
            f"--port={self.port}",
            f"--file={self._file}",
            f"--failing={failing}",
            f"--status={status}",
        ]
        arguments += [f"--secret={secret}" for secret in secrets] + (["--silent"] if silent else [])
        self._process = Process(
            [sys.executable, "-m", "tests.support.receiver", *arguments], log_file=self._log, env=clean_environment({})
        )
        self._process.start()
        self._process.wait_ready(self._answers, 30, "the receiver")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://{self.host}:{self.port}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Kills it."""
        if self._process is not None and self._process.running:
            self._process.kill()

    def got(self) -> list[dict[str, Any]]:
        """Every request, oldest first; `status` is what was answered, 0 for nothing."""
        lines = self._file.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]
