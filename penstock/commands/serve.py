"""`penstock up`, `ingest`, `consume`, `query`: the processes that stay."""

import socket
import sys
from typing import Annotated

import structlog
import typer

from penstock.commands.options import (
    MAX_PORT,
    PORT_VARIABLE,
    AsJson,
    ConfigFile,
    DataDir,
    Host,
    Port,
    settings_of,
    show,
)
from penstock.errors import StartError
from penstock.opening import is_scaled_out, locked_directory, require_scaled_out
from penstock.settings import Settings, effective
from penstock.telemetry import configure_logging

WorkerCount = Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes that share the port.")]
InheritedSocket = Annotated[int | None, typer.Option("--fd", hidden=True)]

_log = structlog.get_logger(__name__)


def _settings(config: ConfigFile, data_dir: DataDir) -> Settings:
    settings = settings_of(config, data_dir)
    configure_logging(settings.log)
    return settings


def up(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Everything in one process. On an empty directory it makes a project and prints its keys."""
    from penstock.embedded import Embedded
    from penstock.serving import Process, address, bind

    settings = _settings(config, data_dir)
    if is_scaled_out(settings):
        raise StartError(
            "'penstock up' is the embedded form, but the settings name Kafka and ClickHouse. "
            "Unset them, or start 'penstock ingest', 'consume' and 'query'."
        )
    with locked_directory(settings.data_dir):
        listener = bind(host, port)
        process = Process()
        embedded = Embedded(settings, process.fail)
        process.run(embedded.open, listener, lambda: embedded.greet(address(listener), as_json))


def _listener(host: str, port: int, inherited: int | None) -> socket.socket:
    from penstock.serving import bind

    return bind(host, port) if inherited is None else socket.socket(fileno=inherited)


def _announce(name: str, listener: socket.socket, settings: Settings, as_json: bool) -> None:
    """Says where it listens: in the log, and as JSON on stdout, a line of each worker."""
    from penstock.serving import address

    if as_json:
        show({"address": address(listener)}, as_json, "")
    _log.info("started", process=name, address=address(listener))
    _log.debug("settings", **effective(settings))


def _run_workers(command: str, workers: int, listener: socket.socket) -> None:
    from penstock.workers import Workers

    arguments = [command, *_without_workers(sys.argv[2:]), "--fd", str(listener.fileno())]
    raise typer.Exit(Workers([arguments] * workers, [listener.fileno()]).run())


def _without_workers(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if not skip and not argument.startswith("--workers="):
            kept += [] if argument == "--workers" else [argument]
        skip = argument == "--workers"
    return kept


def ingest(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    workers: WorkerCount = 1,
    fd: InheritedSocket = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take events in over HTTP and put them into Kafka."""
    from penstock.scaled_out import open_ingest
    from penstock.serving import Process

    settings = _settings(config, data_dir)
    require_scaled_out(settings, "ingest")
    listener = _listener(host, port, fd)
    if workers > 1:
        _run_workers("ingest", workers, listener)
    process = Process(settings.serving.drain_seconds)
    process.run(
        lambda: open_ingest(settings, process.check),
        listener,
        lambda: _announce("ingest", listener, settings, as_json),
    )


def query(
    host: Host = "127.0.0.1",
    port: Port = 8081,
    workers: WorkerCount = 1,
    fd: InheritedSocket = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Answer reads from ClickHouse."""
    from penstock.scaled_out import open_query
    from penstock.serving import Process

    settings = _settings(config, data_dir)
    require_scaled_out(settings, "query")
    listener = _listener(host, port, fd)
    if workers > 1:
        _run_workers("query", workers, listener)
    process = Process(settings.serving.drain_seconds)
    process.run(
        lambda: open_query(settings, process.check),
        listener,
        lambda: _announce("query", listener, settings, as_json),
    )


def consume(
    host: Host = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port", min=0, max=MAX_PORT, help="For health and metrics; worker i has port + i.", envvar=PORT_VARIABLE
        ),
    ] = 8082,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Consumers in the group.")] = 1,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write Kafka's events into ClickHouse."""
    from penstock.scaled_out import open_consume
    from penstock.serving import Process, bind
    from penstock.workers import Workers

    settings = _settings(config, data_dir)
    require_scaled_out(settings, "consume")
    if workers > 1:
        if port and port + workers - 1 > MAX_PORT:
            raise typer.BadParameter(
                f"the last of {workers} workers would have {port + workers - 1}", param_hint="--port"
            )
        shared = _without_workers(sys.argv[2:])
        ports = [port + number if port else 0 for number in range(workers)]
        commands = [["consume", *shared, "--port", str(number)] for number in ports]
        raise typer.Exit(Workers(commands).run())
    listener = bind(host, port)
    process = Process()
    process.run(
        lambda: open_consume(settings, process.fail),
        listener,
        lambda: _announce("consume", listener, settings, as_json),
    )
