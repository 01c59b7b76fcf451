"""The load generator: wrk, which costs a tenth of what a Python client would on the two cores that it shares."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.services import ServiceUnavailable

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """One run: answers per second, the latencies that wrk prints, and answers that were no 2xx."""

    per_second: float
    p50: str
    p99: str
    failed: int

    def __str__(self) -> str:
        return f"{self.per_second:,.0f}/s, p50 {self.p50}, p99 {self.p99}, {self.failed} failed"


def run(url: str, script: str, *, key: str = "", connections: int = 64, seconds: int = 10) -> Measured:
    """Loads `url` with the requests of a Lua script in this folder.

    Raises:
        ServiceUnavailable: wrk is not installed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise ServiceUnavailable("wrk is missing: apt-get install wrk, or brew install wrk")
    command = [
        program,
        "-t1",
        f"-c{connections}",
        f"-d{seconds}",
        "--latency",
        "-s",
        str(_HERE / script),
        url,
        "--",
        key,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return _parsed(done.stdout)


def _parsed(text: str) -> Measured:
    def found(pattern: str, default: str = "0") -> str:
        match = re.search(pattern, text, re.MULTILINE)
        return match[1] if match else default

    errors = re.findall(r"(?:connect|read|write|timeout) (\d+)", text)
    failed = int(found(r"Non-2xx or 3xx responses: (\d+)")) + sum(map(int, errors))
    return Measured(
        float(found(r"Requests/sec:\s+([\d.]+)")), found(r"^\s+50%\s+(\S+)"), found(r"^\s+99%\s+(\S+)"), failed
    )
