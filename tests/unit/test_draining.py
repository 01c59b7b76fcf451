"""A process that drains: after SIGTERM it says that it is not ready and serves on, and then it ends."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, http.client, os, signal, threading, time
from contextlib import asynccontextmanager
from penstock import serving
from penstock.errors import Unavailable

pipe = {pipe}
process = serving.Process(drain_seconds=1)

def say(line):
    os.write(pipe, line.encode() + b"\\n")  # at once: two threads do

def is_ready():
    try:
        process.check()
    except Unavailable:
        return False
    return True

async def app(scope, receive, send):
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}})
    await send({{"type": "http.response.body", "body": b""}})

@asynccontextmanager
async def parts():
    yield app
    say("closed")

listener = serving.bind("127.0.0.1", 0)
port = listener.getsockname()[1]

def ask(connection, path="/"):
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    say(f"{{'ready' if is_ready() else 'draining'}} {{answer.status}} {{answer.getheader('connection')}}")

def connect():
    return http.client.HTTPConnection("127.0.0.1", port, timeout=5)

def story():
    kept, quiet = connect(), connect()
    ask(kept)
    ask(quiet)
    {story}

process.run(parts, listener, lambda: threading.Thread(target=story).start())
say("ended")
"""

TOLD = """os.kill(os.getpid(), signal.SIGTERM)
    while is_ready():
        time.sleep(0.01)
    """


def lines(story: str) -> list[str]:
    """What the program tells while it is told to stop so, on a pipe that it has for nothing else; it must end with 0."""
    read, write = os.pipe()
    with open(read, encoding="utf-8") as said:
        with open(write):
            command = [sys.executable, "-c", PROGRAM.format(story=story, pipe=write)]
            done = subprocess.run(command, pass_fds=[write], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return said.read().splitlines()


SERVED = ["ready 200 None", "ready 200 None"]


def test_after_sigterm_it_is_not_ready_and_serves_on_and_answers_end_their_connections() -> None:
    asked = "ask(kept); ask(quiet)"
    assert lines(TOLD + asked) == [*SERVED, "draining 200 close", "draining 200 close", "closed", "ended"]


def test_new_connections_are_served_while_it_drains() -> None:
    assert lines(f"{TOLD}ask(connect())") == [*SERVED, "draining 200 close", "closed", "ended"]


def test_a_second_sigterm_changes_nothing() -> None:
    again = "os.kill(os.getpid(), signal.SIGTERM); ask(connect())"
    assert lines(TOLD + again) == [*SERVED, "draining 200 close", "closed", "ended"]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_request_that_is_under_way_is_finished(number: str) -> None:
    told = f"threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.{number})).start()"
    found = lines(f"{told}; ask(kept, '/slow')")
    expected = [*SERVED, "draining 200 close", "closed", "ended"]
    assert sorted(found) == sorted(expected)  # the client is a thread of its own


@pytest.mark.parametrize("before", ["", TOLD])
def test_ctrl_c_does_not_wait(before: str) -> None:
    """Nobody is served any more, long before the second is over."""
    ended = """os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
    try:
        ask(connect())
    except OSError:
        pass"""
    assert lines(before + ended) == [*SERVED, "closed", "ended"]
