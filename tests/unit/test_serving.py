"""A process of ours is told to stop: it ends in time, whatever it is doing and whatever hangs."""

import subprocess
import sys

PROGRAM = """
import asyncio, os, signal, threading, time
from contextlib import asynccontextmanager
from penstock import serving

serving._LAST_RESORT_SECONDS = 1

def tell_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)

async def app(scope, receive, send):
    raise AssertionError("nobody asks")

@asynccontextmanager
async def parts():
    {opening}
    yield app
    {closing}
    print("closed", flush=True)

def serves():
    print("serves", flush=True)
    tell_to_stop()

serving.Process().run(parts, serving.bind("127.0.0.1", 0), serves)
"""


def run(*, opening: str = "pass", closing: str = "pass") -> tuple[int, list[str]]:
    """Exit code and output of a process that is told to stop, at the latest when it serves."""
    program = PROGRAM.format(opening=opening, closing=closing)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, [line for line in done.stdout.splitlines() if line in {"serves", "closed"}]


def test_told_to_stop_it_closes_its_parts() -> None:
    assert run() == (0, ["serves", "closed"])


def test_told_to_stop_while_its_parts_are_opened_it_closes_them_and_serves_nobody() -> None:
    assert run(opening="tell_to_stop()") == (0, ["closed"])


def test_a_thread_that_hangs_does_not_keep_it_from_ending() -> None:
    assert run(closing="threading.Thread(target=time.sleep, args=(60,)).start()") == (0, ["serves", "closed"])


def test_a_part_that_does_not_close_does_not_keep_it_from_ending() -> None:
    assert run(closing="await asyncio.to_thread(time.sleep, 60)") == (0, ["serves"])
