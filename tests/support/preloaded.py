"""Commands of penstock that start at once: forked from a process that has imported what they need.

The imports take a second or two of processor time, and the tests start hundreds of processes. Nothing else differs from
`python -m penstock`: a command has its own arguments, environment, session and files, and is a child of who starts it.
Where the environment would change how Python itself starts, it is started as ever; so it is by the tests of how the
commands start.
"""

import atexit
import ctypes
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

MODULES = (
    "consumers.comparison",
    "consumers.writer_app",
    "consumers.rebuild",
    "consumers.verification",
    "penstock.cli",
    "penstock.clickhouse.chdb",
    "penstock.embedded",
    "penstock.scaled_out",
)
"""The engine of the embedded form is not among them: it has threads as soon as it is imported."""

_COMMAND = [sys.executable, "-m", "penstock"]
_OF_PYTHON = ("LD_", "LC_", "LANG", "MALLOC", "PYTHON")
_SUBREAPER = 36
_FAILED_TO_FORK = "the process that commands are forked from has ended"


def popen(args: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
    """`subprocess.Popen`, by a fork where the command is one of penstock's."""
    is_one = list(args[:3]) == _COMMAND and sys.platform == "linux" and _starts_alike(options.get("env") or os.environ)
    return (_Forked if is_one else subprocess.Popen)(args, **options)


def run(args: Sequence[str], *, timeout_seconds: float, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """`subprocess.run`, with what the command printed, by the same way."""
    pipe = subprocess.PIPE
    with popen(args, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            out, errors = child.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    return subprocess.CompletedProcess(list(args), child.returncode, out, errors)


def _starts_alike(env: Mapping[str, str]) -> bool:
    def of_python(one: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in one.items() if name.startswith(_OF_PYTHON)}

    return of_python(env) == of_python(os.environ)


class _Forked(subprocess.Popen[Any]):
    """A child that `_serve` has forked. All but how it comes to be is `Popen`'s."""

    def _execute_child(  # type: ignore[no-untyped-def] # as in `subprocess`, which calls it by position
        self, args, _executable, _preexec, _close, _pass, cwd, env, _info, _flags, _shell, *rest
    ) -> None:
        read_in, write_in, read_out, write_out, read_errors, write_errors, *_, new_session, _group = rest
        request = {
            "args": list(map(str, args[3:])),
            "env": dict(os.environ if env is None else env),
            "cwd": str(cwd or Path.cwd()),
            "new_session": bool(new_session),
        }
        files = [own if given == -1 else given for own, given in enumerate((read_in, write_out, write_errors))]
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(_server())
            socket.send_fds(connection, [b"f"], files)
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(32)
        if not answer:
            raise OSError(_FAILED_TO_FORK)
        self.pid = int(answer)
        self._child_created = True
        self._close_pipe_fds(read_in, write_in, read_out, write_out, read_errors, write_errors)  # type: ignore[attr-defined] # as above


@cache
def _server() -> str:
    """Where requests are taken. The process that takes them ends when its input does: when this one does, at last."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)  # what it forks becomes this process's child
    address = str(Path(tempfile.mkdtemp(prefix="penstock-preloaded-")) / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        command = [sys.executable, "-m", __name__, str(listener.fileno())]
        root = Path(__file__).parents[2]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], cwd=root)
    atexit.register(server.communicate)
    return address


def _serve(listener: socket.socket) -> list[str] | None:
    """Forks a child for each request, until the one who started it ends. In a child, returns its arguments."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return None
        connection, _ = listener.accept()
        with connection:
            _, files, _, _ = socket.recv_fds(connection, 1, 3)
            request = json.loads(_all_of(connection))
            if (between := os.fork()) == 0:
                between = os.getpid()
                if os.fork():
                    os._exit(0)
                _become(request, files, between)
                connection.sendall(str(os.getpid()).encode())
                listener.close()
                return list(request["args"])
            os.waitpid(between, 0)
        for file in files:
            os.close(file)


def _all_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def _become(request: Mapping[str, Any], files: Sequence[int], between: int) -> None:
    if request["new_session"]:
        os.setsid()
    while os.getppid() == between:
        time.sleep(0.0005)  # until the one who asked is the parent
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        if file > 2:
            os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()


def main() -> None:
    """Serves, and in a child runs the command."""
    for module in MODULES:
        importlib.import_module(module)
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1, "forked threads are lost"
    arguments = _serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        sys.argv = ["penstock", *arguments]
        runpy.run_module("penstock", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
