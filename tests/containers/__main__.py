"""Proves the repository's Dockerfile and docker-compose.yml on this machine: see `tests.containers.proof`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from tests.containers.compose import Compose, env_file
from tests.containers.docker import DockerFailed, need
from tests.containers.engine import compose_command, engine
from tests.containers.images import Images, is_stand_in, pinned
from tests.containers.proof import Failed, Proof, Report, taken_down
from tests.support.services import ServiceUnavailable, free_port

_SETTINGS = {
    # Receivers of webhooks are on this machine, which containers see at a private address.
    "PENSTOCK_WEBHOOKS__ALLOWED_ADDRESSES": '["172.16.0.0/12","192.168.0.0/16"]',
    "PENSTOCK_WEBHOOKS__TIMEOUT_SECONDS": "3",
}


_EXPECTED = (
    *(Failed, AssertionError, TimeoutError, DockerFailed, ServiceUnavailable),
    *(subprocess.SubprocessError, httpx.HTTPError, OSError),
)
"""What says by itself what is wrong."""


def main() -> int:
    """The exit code: 0 where everything holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers", description=__doc__)
    parser.add_argument("--without-suite", action="store_true", help="leave the end-to-end suite out, for a first look")
    options = parser.parse_args()
    report = Report()
    try:
        prove(report, with_suite=not options.without_suite)
    except _EXPECTED as problem:
        print(f"\nFAILED: {problem}", file=sys.stderr)
        return 1
    print(f"\n{report.summary()}")
    return 0


def prove(report: Report, *, with_suite: bool) -> None:
    """All of it, from a bare machine on."""
    with engine(report.say) as docker, tempfile.TemporaryDirectory(prefix="penstock-containers-") as directory:
        need("curl", "curl", report.say)
        images = Images(docker, report.say, installs=True)
        chosen = {variable: images.get(variable) for variable in pinned()}
        for variable, image in chosen.items():
            report.note(f"{variable.removesuffix('_IMAGE').lower()}: {image}{' (stand-in)' * is_stand_in(image)}")
        command = compose_command(docker, report.say)
        file = env_file(Path(directory) / "env", chosen, free_port(), _SETTINGS)
        compose = Compose(docker, command, file)
        compose.down()  # what a run that was killed may have left
        report.say("building the product's image from the repository's Dockerfile")
        compose("build", "--quiet", "ingest")
        with taken_down(compose, report):
            Proof(compose, report).run(with_suite=with_suite)


if __name__ == "__main__":
    sys.exit(main())
