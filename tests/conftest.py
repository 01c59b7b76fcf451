"""What all layers share: no test reaches beyond this machine, coroutines run on asyncio, services come from one place."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("penstock", deadline=None)  # a slow moment of the machine is no failure
hypothesis.settings.register_profile(
    "thorough", deadline=None, max_examples=2500
)  # pytest --hypothesis-profile=thorough
hypothesis.settings.load_profile("penstock")


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):  # a path: a Unix socket
        return True
    try:
        return ip_address(address[0]).is_loopback
    except ValueError:
        return bool(address[0] == "localhost")


def _guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if not _is_local(address):
            pytest.fail(f"a test tried to connect to {address}: tests use this machine only")
        return connect(self, address)

    return guarded


@pytest.fixture(autouse=True)
def _only_this_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that connects to another machine; one with the marker `services` may be told to use a server."""
    if request.node.get_closest_marker("services") is None:
        monkeypatch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        monkeypatch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """For several processes, services are provided before they start: none of them tells the others what it chose."""
    if getattr(session.config.option, "numprocesses", None) and "not services" not in session.config.option.markexpr:
        _provide_services(session.config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """For one process, where a test needs one."""
    is_one = not hasattr(session.config, "workerinput") and not session.config.option.collectonly
    if is_one and any(item.get_closest_marker("services") for item in session.items):
        _provide_services(session.config)


def _provide_services(config: pytest.Config) -> None:
    """Decides where they come from, and tells it once a run."""
    from tests.support.provider import decide
    from tests.support.services import ServiceUnavailable

    try:
        decided = decide()
    except ServiceUnavailable as missing:
        raise pytest.UsageError(str(missing)) from None
    config.get_terminal_writer().line(str(decided))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """anyio's plugin runs a coroutine test once per backend; the product has one."""
    return "asyncio"
