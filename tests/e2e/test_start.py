"""What a new user sees: the first start, the printed lines, and clear words where it cannot start."""

import json
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.deployments import PENSTOCK, Embedded, clean_environment, wait_ready
from tests.support.services import LOOPBACK, Process, free_port, wait_until

pytestmark = pytest.mark.services


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Embedded]:
    running = Embedded(tmp_path)
    running.start()
    yield running
    running.stop()


def _printed(up: Embedded) -> str:
    return up.processes()["up"].log_file.read_text(encoding="utf-8")


def _curl_lines(text: str) -> list[list[str]]:
    joined = text.replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.strip().startswith("curl ")]


def test_the_printed_curl_lines_work(up: Embedded) -> None:
    track, read = _curl_lines(_printed(up))
    tracked = subprocess.run([*track, "-sS", "--fail"], capture_output=True, text=True, check=True, timeout=30)
    assert '"success":true' in tracked.stdout

    def listed() -> str:
        return subprocess.run([*read, "-sS", "--fail"], capture_output=True, text=True, check=True, timeout=30).stdout

    assert wait_until(lambda: '"name":"signup"' in listed(), 15, "the event in the list")


def test_keys_are_printed_once_and_everything_survives_kill_9(up: Embedded) -> None:
    secret = re.findall(r"sk_[\w-]{43}", _printed(up))[0]
    public = re.findall(r"pk_[\w-]{43}", _printed(up))[0]
    body = {"event": "kept", "email": "ada@example.com"}
    answer = httpx.post(f"{up.query_url}/v1/track", headers={"Authorization": f"Bearer {public}"}, json=body)
    process = up.processes()["up"]
    process.kill()  # at once: the event may not have been stored yet
    before = len(_printed(up))
    process.start()
    wait_ready(up.query_url, process)

    assert not re.findall(r"[ps]k_", _printed(up)[before:])
    headers = {"Authorization": f"Bearer {secret}", "X-After-Position": answer.headers["X-Position"]}
    rows = httpx.get(f"{up.query_url}/events", headers=headers).json()["events"]
    assert [row["id"] for row in rows] == [answer.json()["event"]]


def _fails(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [*PENSTOCK, *arguments],
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"{LOOPBACK}:{port}" in _fails("up", "--port", str(port), "--data-dir", str(tmp_path / "data"))


def test_a_directory_in_use_is_one_clear_line(up: Embedded) -> None:
    message = _fails("up", "--port", str(free_port()), "--data-dir", str(up.directory / "data"))
    assert "in use" in message
    assert str(up.processes()["up"].pid) in message


def test_a_directory_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    assert str(blocked) in _fails("up", "--port", str(free_port()), "--data-dir", str(blocked / "data"))
    assert "/proc/penstock" in _fails("up", "--port", str(free_port()), "--data-dir", "/proc/penstock")


def test_wrong_settings_are_all_named() -> None:
    done = subprocess.run(
        [*PENSTOCK, "config", "check"],
        env=clean_environment({"PENSTOCK_KAFKA__LINGER_MS": "fast", "PENSTOCK_NO_SUCH": "1"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "PENSTOCK_KAFKA__LINGER_MS" in done.stderr
    assert "PENSTOCK_NO_SUCH" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_variable_that_is_no_setting_is_one_warning_and_keeps_no_command_from_its_work(tmp_path: Path) -> None:
    unknown = {"PENSTOCK_WORKFLOWS__X": "ca.pem", "PENSTOCK_KAFKA__LINGER": "5", "PENSTOCK_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [*PENSTOCK, "project", "create", "mine", "--json"],
        env=clean_environment(unknown),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "mine"
    (warning,) = done.stderr.splitlines()
    told = "PENSTOCK_KAFKA__LINGER (is PENSTOCK_KAFKA__LINGER_MS meant?), PENSTOCK_WORKFLOWS__X"
    assert json.loads(warning)["variables"] == told


def test_projects_are_made_before_the_first_start(tmp_path: Path) -> None:
    up = Embedded(tmp_path)
    made = up.cli_json("project", "create", "mine")
    try:
        up.start()
        headers = {"Authorization": f"Bearer {made['secretKey']}"}
        assert httpx.get(f"{up.query_url}/events", headers=headers).status_code == 200
        assert not re.findall(r"[ps]k_", _printed(up))
    finally:
        up.stop()
    assert [project["name"] for project in up.cli_json("project", "list")] == ["mine"]


@pytest.mark.parametrize(
    "command",
    ["up", "ingest", "consume", "query", "migrate", "project create", "key revoke", "config show", "dead-letters list"],
)
def test_every_command_has_help(command: str) -> None:
    done = subprocess.run(
        [*PENSTOCK, *command.split(), "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert "--data-dir" in done.stdout


def test_wrong_usage_exits_2() -> None:
    done = subprocess.run([*PENSTOCK, "up", "--port", "many"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2


def test_sigterm_stops_the_process_cleanly(up: Embedded) -> None:
    process: Process = up.processes()["up"]
    assert process.terminate(10) == 0
    assert "Traceback" not in _printed(up)
