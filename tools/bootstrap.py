"""Makes `.venv` from the lock file, so that nothing but Python and make need be installed first.

    python3 tools/bootstrap.py          what `penstock up` needs
    python3 tools/bootstrap.py --dev    and what the checks and tests need

It runs before anything is installed: standard library only. uv comes into `.venv` as well, pinned here and nowhere
else; it installs exactly what `uv.lock` names, with its hashes. Both forms share one environment and neither removes
what the other added. A stamp in `.venv` says what was installed from which files, so a second call returns at once.
"""

import argparse
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

UV = "uv==0.13.9"

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)

_NO_VENV = (
    "{python} cannot make virtual environments (its modules venv and ensurepip are missing).\n"
    "Debian, Ubuntu: apt-get install python3-venv. Then try again, or name another Python: make PYTHON=/path/to/python3"
)


def main() -> int:
    """Returns the exit code: 0 where `.venv` is as the lock file says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="with the tools for checks and tests")
    dev = parser.parse_args().dev
    if is_current(dev):
        return 0
    say("Setting up (once): installing the locked packages into .venv (1 GB on disk) …")
    problem = install(dev)
    if problem:
        say(problem)
        return 1
    stamp(dev).write_text(fingerprint(), encoding="utf-8")
    return 0


def say(text: str) -> None:
    """Progress and problems go to stderr."""
    sys.stderr.write(f"{text}\n")


def stamp(dev: bool) -> Path:
    """The file that holds the fingerprint of what was installed."""
    return VENV / (".installed-dev" if dev else ".installed")


def fingerprint() -> str:
    """What the environment depends on: the two files, uv, and the place, as scripts in `.venv` name it."""
    digest = hashlib.sha256(f"{UV} {VENV}".encode())
    for name in ("uv.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def is_current(dev: bool) -> bool:
    """Whether the last installation still stands. One for development has all that the other needs."""
    wanted = fingerprint()
    stamps = [stamp(True)] if dev else [stamp(True), stamp(False)]
    return VENV_PYTHON.exists() and any(file.exists() and file.read_text(encoding="utf-8") == wanted for file in stamps)


def install(dev: bool) -> str:
    """Brings `.venv` up to date. Returns what went wrong, "" for nothing."""
    steps = []
    if not is_usable():
        if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
            return _NO_VENV.format(python=sys.executable)
        steps.append([base_python(), "-m", "venv", "--clear", str(VENV)])
    steps.append([str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV])
    sync = [str(VENV / "bin" / "uv"), "sync", "--quiet", "--frozen", "--inexact", "--extra", "embedded"]
    steps.append([*sync, "--python", str(VENV_PYTHON), *(["--group", "dev"] if dev else [])])
    for step in steps:
        done = subprocess.run(step, cwd=ROOT, env=environment(), check=False)  # noqa: S603 - fixed words and own paths
        if done.returncode != 0:
            return f"Setting up failed in: {' '.join(step)}"
    return ""


def is_usable() -> bool:
    """Whether `.venv` has a Python that runs, is new enough, and has pip. One that was moved or half made has not."""
    check = f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        done = subprocess.run([VENV_PYTHON, "-c", check], capture_output=True, check=False)  # noqa: S603 - own path
    except OSError:
        return False
    return done.returncode == 0


def base_python() -> str:
    """The Python outside of any environment: `.venv` must not be made by the one that it replaces."""
    return getattr(sys, "_base_executable", None) or sys.executable


def environment() -> dict[str, str]:
    """The caller's, without another environment's traces, and with pip's certificates for uv where only pip has any."""
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME")}
    environ |= {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    if "PIP_CERT" in environ:
        environ.setdefault("SSL_CERT_FILE", environ["PIP_CERT"])
    return environ


if __name__ == "__main__":
    sys.exit(main())
