"""The command line where it has nothing to work on, or is used in the wrong way: a clear line, and the right exit code."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from penstock.opening import locked_directory
from schemas.clickhouse import migrations
from tests.support.deployments import PENSTOCK, clean_environment
from tests.support.services import LOOPBACK

pytestmark = pytest.mark.services


def _run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PENSTOCK, *map(str, arguments)],
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _fails(*arguments: str | Path) -> str:
    """What a command says that fails: one line."""
    done = _run(*arguments)
    assert (done.returncode, done.stdout) == (1, ""), (done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert line.startswith("penstock: ")
    return line


@pytest.mark.parametrize("command", ["verify", "migrate", "migrate --dry-run", "dead-letters replay", "project list"])
def test_a_data_directory_that_is_none_is_one_clear_line(tmp_path: Path, command: str) -> None:
    file = tmp_path / "file"
    file.write_text("no directory")
    assert str(file) in _fails(*command.split(), "--data-dir", file)


def test_tables_that_cannot_be_opened_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("no directory")
    said = _fails("migrate", "--data-dir", tmp_path)
    assert f"The tables in {tmp_path / 'tables'} cannot be opened: filesystem error" in said
    assert "belong to this user" in said


@contextmanager
def _ending_in_the_middle(directory: Path, said: bytes) -> Iterator[None]:
    """A running penstock that is killed while a command waits for it."""
    with locked_directory(directory), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "operator.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:  # what the command sent is not read: so the end is a reset
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize("said", [b"", b'{"progress":"reading"}\n', b'{"progress":"rea'])
def test_a_running_penstock_that_ends_while_a_command_waits_is_one_clear_line(tmp_path: Path, said: bytes) -> None:
    with _ending_in_the_middle(tmp_path, said):
        assert "ended before it was done" in _fails("verify", "--data-dir", tmp_path)


def test_a_dry_run_of_the_migrations_makes_nothing(tmp_path: Path) -> None:
    every = [f"{migration.version:04d}_{migration.name}" for migration in migrations()]
    absent, empty = tmp_path / "absent", tmp_path / "empty"
    empty.mkdir()
    for directory in (absent, empty):
        done = _run("migrate", "--dry-run", "--json", "--data-dir", directory)
        assert json.loads(done.stdout) == {"topics": [], "migrations": every, "dryRun": True}
    assert not absent.exists()
    assert not list(empty.iterdir())
    assert _run("migrate", "--data-dir", empty).returncode == 0
    assert json.loads(_run("migrate", "--dry-run", "--json", "--data-dir", empty).stdout)["migrations"] == []


def test_the_keys_of_a_project_are_listed_in_whichever_spelling_its_id_has(tmp_path: Path) -> None:
    made = json.loads(_run("project", "create", "mine", "--json", "--data-dir", tmp_path).stdout)
    _run("project", "create", "another", "--data-dir", tmp_path)
    listed = _run("key", "list", "--json", "--project", made["projectId"].upper(), "--data-dir", tmp_path)
    assert [key["projectId"] for key in json.loads(listed.stdout)] == [made["projectId"]] * 2
    assert "There is no project" in _fails("key", "list", "--project", str(uuid4()), "--data-dir", tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "up --port 65536",
        "up --port -1",
        "ingest --port 99999",
        "consume --port 99999",
        "consume --port 65535 --workers 2",
        "query --port 99999",
    ],
)
def test_a_port_that_is_none_is_wrong_usage(tmp_path: Path, command: str) -> None:
    scaled_out = {"PENSTOCK_KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:1", "PENSTOCK_CLICKHOUSE__URL": "http://x"}
    done = _run(*command.split(), "--data-dir", tmp_path, **({} if command.startswith("up") else scaled_out))
    assert done.returncode == 2
    assert "--port" in done.stderr


@pytest.mark.parametrize("command", ["ingest", "consume", "query"])
def test_every_process_can_say_where_it_listens_as_json(command: str) -> None:
    assert "--json" in _run(command, "--help").stdout


def test_a_process_of_the_scaled_out_form_says_where_it_listens_as_json() -> None:
    unreachable = {
        "PENSTOCK_KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:1",
        "PENSTOCK_CLICKHOUSE__URL": f"http://{LOOPBACK}:1",
    }
    started = subprocess.Popen(
        [*PENSTOCK, "ingest", "--port", "0", "--json"],
        env=clean_environment(unreachable),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with started:
        assert started.stdout
        told = json.loads(started.stdout.readline())
        started.terminate()
    assert told.keys() == {"address"}
    assert told["address"].startswith(f"http://{LOOPBACK}:")
