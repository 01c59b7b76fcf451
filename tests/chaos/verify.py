"""The product's own proof: `penstock verify`, which compares log, tables and counters."""

from tests.chaos.complaints import Complaints
from tests.chaos.stage import Stage

_SECONDS = 1800.0


def verify(stage: Stage, complaints: Complaints, *, required: bool) -> str:
    """What it said, in a word or two. It runs beside the product."""
    if stage.deployment.cli("verify", "--help").returncode != 0:
        if required:
            complaints.add("verify", "this penstock has no command verify")
        return "skipped: this penstock has no command verify"
    done = stage.deployment.cli("verify", "--json", timeout_seconds=_SECONDS)
    if done.returncode != 0:
        complaints.add("verify", f"exit code {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
        return f"failed with exit code {done.returncode}"
    return "log, tables and counters agree"
