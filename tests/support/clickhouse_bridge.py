"""A stand-in for a ClickHouse server: ClickHouse's HTTP interface in front of chDB, in a process of its own.

``python -m tests.support.clickhouse_bridge --path DIR --port N``; tests use ``clickhouse_server.BridgeServer``. It
exists because no server can be had on some machines, while the engine can (PyPI ``chdb``). It is never part of the
product. The data is in DIR and survives ``kill -9``.

What it answers: ``GET /ping``, and statements as ClickHouse takes them: in the body, in ``query``, or both; ``param_*``
values bound by the engine, settings and ``database`` as URL parameters, multipart forms, bodies in gzip, deflate, zstd
and lz4 or chunked, sessions (temporary tables, ``SET``, ``USE``; the second statement at a time is refused with 373),
the format of the statement or ``default_format``. Errors carry ``X-ClickHouse-Exception-Code`` and the server's own
status. ``PUT /faults`` makes it fail on purpose (see ``clickhouse_faults``), ``GET /faults`` tells how often it did.

How inserts travel. ``INSERT INTO t FORMAT x`` goes through chDB's streaming insert: from memory, for 6 MB of JSON lines
10 to 40 % quicker than from a file in /dev/shm, and it cuts blocks at ``max_insert_block_size`` as a server does
(``FROM INFILE`` does not). It takes no ``param_*``, so a parametrised INSERT goes to the engine as one text. ``INSERT …
SELECT … FROM input('structure') FORMAT x`` is accepted by chDB and silently stores nothing, in every spelling; here the
body is put in /dev/shm and ``input(…)`` replaced by ``file('/dev/shm/…', 'x', 'structure')``, which stores it and
honours the deduplication token.

What it does not prove, and what needs a real server therefore:

* replication, ``ON CLUSTER``, Keeper, distributed tables; ``Replicated*`` engines do not exist here, so neither does
  deduplication by ``replicated_deduplication_window`` (only ``non_replicated_deduplication_window`` is tested);
* asynchronous inserts: ``async_insert`` is accepted and every insert is synchronous;
* users, passwords, roles, quotas, grants, ``readonly`` (a GET may write here), TLS: any credentials are accepted;
* results that stream: an answer is built in memory and sent whole, so there are no progress headers, no keep-alive
  during a long statement, and no exception in the middle of a body with status 200;
* compressed responses (always sent plain), ClickHouse's own block compression (``compress``, ``decompress``), external
  data (refused with 48), ``client_protocol_version`` (ignored, so clients fall back to the oldest Native format);
* ``system.query_log`` and other logs, cancelling on disconnect, limits on memory and on concurrent queries, and the
  server's configuration. A few of chDB's defaults differ from a server's, such as ``materialize_statistics_on_insert``;
* the version: whatever engine the installed chdb has.
"""

from __future__ import annotations

import argparse
import contextlib
import email.parser
import email.policy
import fcntl
import gzip
import io
import json
import os
import queue
import re
import signal
import socketserver
import sys
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.clickhouse_faults import Fault, Faults

# --- statements: pure text -------------------------------------------------------------------------------------------

_SKIPPED = rb"--[^\n]*|/\*.*?\*/"
_QUOTED = rb"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\""
_VERB = re.compile(rb"(?:\s|\(|" + _SKIPPED + rb")*(\w*)", re.DOTALL)
_BLANK = re.compile(rb"(?:\s|;|" + _SKIPPED + rb")*", re.DOTALL)
_SCAN = re.compile(
    _QUOTED
    + rb"|"
    + _SKIPPED
    # One line feed belongs to the clause: what follows may be binary and begin with another.
    + rb"|(?P<format>\bFORMAT\s+(?P<name>\w+)[ \t\r]*\n?)|(?P<values>\bVALUES\b)|(?P<select>\bSELECT\b)|(?P<end>;)",
    re.DOTALL | re.IGNORECASE,
)
_INPUT = re.compile(rb"\binput\s*\(\s*('(?:[^'\\]|\\.|'')*')\s*\)", re.IGNORECASE)
_CHANGES_ITS_CONNECTION = {b"SET", b"USE", b"CREATE"}  # the last for temporary tables
_ANSWERS_WITH_ROWS = {b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS", b"CHECK", b"VALUES"}


class StatementError(Exception):
    """What the client is told: ClickHouse's error code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Statement:
    """A statement, cut where its data begins.

    Attributes:
        verb: First keyword in upper case.
        text: The whole of it; for an insert with ``FORMAT``, what stands before that clause.
        format: The name after ``FORMAT``, if there is one.
        data: What follows ``FORMAT name`` in an insert; None in every other statement.
        selects: An insert with a SELECT of its own.
    """

    verb: bytes
    text: bytes
    format: str | None = None
    data: bytes | None = None
    selects: bool = False


def parse(text: bytes) -> Statement:
    """Read as much of the statement as its route to the engine depends on.

    Raises:
        StatementError: Several statements, which chDB would run and a server refuses.
    """
    found = _VERB.match(text)
    verb = found.group(1).upper() if found else b""
    name: str | None = None
    selects = False
    for token in _SCAN.finditer(text):
        if token.lastgroup == "format":
            name = token["name"].decode("ascii")
            if verb == b"INSERT":
                return Statement(verb, text[: token.start()], name, text[token.end() :], selects)
        elif token.lastgroup == "values" and verb == b"INSERT":
            break  # what follows is data in SQL's own spelling
        elif token.lastgroup == "select":
            selects = True
        elif token.lastgroup == "end" and _BLANK.fullmatch(text, token.end()) is None:
            raise StatementError(62, "Syntax error (Multi-statements are not allowed)")
    return Statement(verb, text, name, None, selects)


def read_body_for_input(statement: Statement, path: str) -> bytes:
    """The same ``INSERT … SELECT … FROM input(…)`` with the body's file in the place of ``input``."""
    source = f"file('{path}', '{statement.format}', ".encode("ascii")
    return _INPUT.sub(lambda found: source + found.group(1) + b")", statement.text)


def quoted(value: str) -> bytes:
    """A string literal. Settings take their number from it too, and unquoted ones turn strings into numbers."""
    return ("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'").encode("utf-8")


def identifier(name: str) -> bytes:
    return ("`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`").encode("utf-8")


# --- engine ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What the engine answered, and what goes into ``X-ClickHouse-Summary``."""

    body: bytes
    summary: dict[str, str]


class Session:
    """A connection, and what has been done to its settings.

    A request's own settings and database (those in its URL) are left in place and only the difference to the next
    request's is changed: clients send the same ones every time, and each ``SET`` costs as much as a small query.
    """

    # Where chDB's start settings differ from a server's in what a statement may say.
    _LIKE_A_SERVER = b"SET implicit_select = 0, allow_introspection_functions = 0"

    def __init__(self, connection: Any) -> None:  # chdb has no types
        self.connection = connection
        self.lock = threading.Lock()
        self.expires_at = 0.0
        self._done_by_client: list[bytes] = []  # its own SET and USE
        self._settings: Mapping[str, str] = {}
        self._database: str | None = None
        self._execute(self._LIKE_A_SERVER)

    def prepare(self, settings: Mapping[str, str], database: str | None) -> None:
        """Put the URL's settings and database on top of the client's own.

        Raises:
            RuntimeError: chDB's error: there is no such setting, value or database. Everything is as without them.
        """
        if (settings, database) == (self._settings, self._database):
            return
        if self._done_by_client or database != self._database or self._settings.keys() - settings.keys():
            self._undo()
        try:
            if database and database != self._database:
                self._execute(b"USE " + identifier(database))
            self._database = database
            if changed := {name: value for name, value in settings.items() if self._settings.get(name) != value}:
                self._execute(
                    b"SET " + b", ".join(identifier(name) + b" = " + quoted(changed[name]) for name in changed)
                )
            self._settings = settings
        except RuntimeError:
            self._undo()
            raise

    def remember(self, statement: Statement) -> None:
        """Keep a ``SET`` or ``USE`` of the client's for the rest of the session, under what later URLs say."""
        self._done_by_client.append(statement.text)

    def close(self) -> None:
        self.connection.close()

    def _undo(self) -> None:
        if self._settings:  # a SET with an unknown name changes nothing, so these are all there is
            self._execute(b"SET " + b", ".join(identifier(name) + b" = DEFAULT" for name in self._settings))
        if self._database:
            self._execute(b"USE default")
        self._settings, self._database = {}, None
        for statement in self._done_by_client:
            self._execute(statement)

    def _execute(self, statement: bytes) -> None:
        self.connection.query(statement, "Null")


class Engine:
    """chDB on one directory.

    Settings and database belong to a connection, and one costs 0.1 ms: each session has its own, and a request without
    a session borrows one that nobody else sees meanwhile. What one client sets is invisible to the next, whatever
    thread serves it. The first connection stays open, as the engine goes down with the last.
    """

    def __init__(self, path: Path) -> None:
        import chdb  # reads the time zone when loaded: main() sets it first

        self._connect: Callable[[], Any] = lambda: chdb.connect(str(path))
        self._keeps_engine_up = self._connect()
        self._sessions: dict[str, Session] = {}
        self._sessions_lock = threading.Lock()
        self._lent: queue.SimpleQueue[Session] = queue.SimpleQueue()
        self.version = self._keeps_engine_up.query("SELECT version()", "TSVRaw").bytes().decode("ascii").strip()

    def close(self) -> None:
        self._keeps_engine_up.close()

    @contextlib.contextmanager
    def borrowed(self, statement: Statement) -> Iterator[Session]:
        """A connection for a request without a session. One that the statement may have changed is not used again."""
        try:
            session = self._lent.get_nowait()
        except queue.Empty:
            session = Session(self._connect())
        try:
            yield session
        finally:
            if statement.verb in _CHANGES_ITS_CONNECTION:
                session.close()
            else:
                self._lent.put(session)

    @contextlib.contextmanager
    def without_some_views(self, database: str) -> Iterator[None]:
        """Every second materialized view of the database is away."""
        connection = self._connect()
        connection.query(b"USE " + identifier(database), "Null")
        sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView'"
        names = connection.query(f"{sql} ORDER BY name", "TSVRaw").bytes().decode("utf-8").split()[::2]
        try:
            for name in names:
                connection.query(b"DETACH VIEW " + identifier(name), "Null")
            yield
        finally:
            for name in names:
                connection.query(b"ATTACH TABLE IF NOT EXISTS " + identifier(name), "Null")
            connection.close()

    @contextlib.contextmanager
    def session(self, session_id: str, timeout_seconds: float, must_exist: bool) -> Iterator[Session]:
        """The session's connection, alone on it.

        Raises:
            StatementError: 372, the session does not exist but must; 373, another request uses it.
        """
        session = self._find_session(session_id, timeout_seconds, must_exist)
        if not session.lock.acquire(blocking=False):
            raise StatementError(373, f"Session {session_id} is locked by a concurrent client. (SESSION_IS_LOCKED)")
        try:
            yield session
        finally:
            session.expires_at = time.monotonic() + timeout_seconds
            session.lock.release()

    def _find_session(self, session_id: str, timeout_seconds: float, must_exist: bool) -> Session:
        with self._sessions_lock:
            self._close_expired()
            if session_id not in self._sessions:
                if must_exist:
                    raise StatementError(372, f"Session {session_id} not found. (SESSION_NOT_FOUND)")
                self._sessions[session_id] = Session(self._connect())
            session = self._sessions[session_id]
            session.expires_at = time.monotonic() + timeout_seconds  # or the next request could close it before its use
            return session

    def _close_expired(self) -> None:
        now = time.monotonic()
        for session_id, session in list(self._sessions.items()):
            if session.expires_at < now and session.lock.acquire(blocking=False):
                del self._sessions[session_id]
                session.close()


def run(connection: Any, statement: Statement, params: Mapping[str, str], default_format: str) -> Outcome:
    """Run one statement; the module's docstring says why inserts take three ways."""
    if statement.data is None:
        return _outcome(connection.query(statement.text, default_format, params=dict(params)))
    if statement.selects and _INPUT.search(statement.text):
        return _insert_select_from_input(connection, statement, params)
    if statement.selects or params:
        whole = b"%b FORMAT %b\n%b" % (statement.text, (statement.format or "").encode("ascii"), statement.data)
        return _outcome(connection.query(whole, default_format, params=dict(params)))
    with connection.send_insert(statement.text.decode("utf-8"), statement.format) as insert:
        insert.append(statement.data)
        done = insert.finish()
    summary = _summary(written_rows=done.rows_written, written_bytes=done.bytes_written, seconds=done.elapsed)
    return Outcome(b"", summary)


def _insert_select_from_input(connection: Any, statement: Statement, params: Mapping[str, str]) -> Outcome:
    in_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # elsewhere (macOS) the usual temporary directory
    with tempfile.NamedTemporaryFile(dir=in_memory, prefix="penstock-insert-") as file:
        file.write(statement.data or b"")
        file.flush()
        return _outcome(connection.query(read_body_for_input(statement, file.name), "Null", params=dict(params)))


def _outcome(result: Any) -> Outcome:
    body: bytes = result.bytes()
    return Outcome(
        body,
        _summary(
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            result_rows=result.rows_read(),  # chDB's name for the rows of the result
            result_bytes=len(body),
            seconds=result.elapsed(),
        ),
    )


def _summary(*, seconds: float, **counts: int) -> dict[str, str]:
    """All of the server's fields, as text; ``total_rows_to_read`` is not known here and stays 0."""
    names = [
        "total_rows_to_read",
        *(f"{what}_{unit}" for what in ("read", "written", "result") for unit in ("rows", "bytes")),
    ]
    return {**{name: str(counts.get(name, 0)) for name in names}, "elapsed_ns": str(int(seconds * 1e9))}


def engine_error(error: RuntimeError, connection: Any, version: str) -> StatementError:
    """The engine's message in the server's form: from ``Code:`` on, at the end the error's name and the version."""
    text = str(error)
    found = re.search(r"Code: (\d+)\. DB::Exception: ", text)
    if found is None:
        return StatementError(1002, f"Code: 1002. DB::Exception: {text or 'chDB gave no message'}. (UNKNOWN_EXCEPTION)")
    code, message = int(found.group(1)), re.sub(r"\s*\(version [^()]*\)\s*$", "", text[found.start() :].rstrip())
    if not re.search(r"\([A-Z0-9_]+\)$", message):  # streaming inserts leave out the name that clients read here
        name = connection.query(f"SELECT errorCodeToName({code})", "TSVRaw").bytes().decode("ascii").strip()
        message = f"{message} ({name})"
    return StatementError(code, f"{message} (version {version} (official build))")


# --- requests --------------------------------------------------------------------------------------------------------

# URL parameters that are no settings, or settings about a transport that does not exist here.
_TRANSPORT = frozenset(
    {
        *("query", "query_id", "database", "default_format", "user", "password", "role", "quota_key", "stacktrace"),
        *("session_id", "session_timeout", "session_check", "close_session", "client_protocol_version"),
        *("wait_end_of_query", "buffer_size", "compress", "decompress"),
        *("enable_http_compression", "http_zlib_compression_level", "http_headers_progress_interval_ms"),
        *("send_progress_in_http_headers", "cancel_http_readonly_queries_on_client_close"),
        "http_write_exception_in_output_format",
    }
)
_DEFAULT_SESSION_SECONDS = 60.0
_LONGEST_URI_BYTES = 1 << 20  # a server's http_max_uri_size

# As in src/Server/HTTP/exceptionCodeToHTTPStatus.cpp of ClickHouse; everything else is a 500.
_STATUS_OF_CODE = {
    **dict.fromkeys((6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123), HTTPStatus.BAD_REQUEST),
    **dict.fromkeys((167, 168, 223, 321, 376, 427, 441, 675, 676), HTTPStatus.BAD_REQUEST),
    **dict.fromkeys((192, 193, 497, 512, 516), HTTPStatus.FORBIDDEN),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), HTTPStatus.NOT_FOUND),
    **dict.fromkeys((76, 209, 439), HTTPStatus.SERVICE_UNAVAILABLE),
    48: HTTPStatus.NOT_IMPLEMENTED,
    159: HTTPStatus.REQUEST_TIMEOUT,
    194: HTTPStatus.UNAUTHORIZED,
    229: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    779: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    status: HTTPStatus
    body: bytes
    headers: dict[str, str]


def with_form(request: Request) -> Request:
    """A multipart form is how clients send a statement whose parameters are too long for a URL.

    Raises:
        StatementError: 48; the form brings a file, that is external data.
    """
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        return request
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    fields: dict[str, str] = {}
    for part in form.iter_parts():
        if part.get_filename() is not None:
            raise StatementError(48, "The bridge takes no external data. (NOT_IMPLEMENTED)")
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):  # always, with decode=True and no parts in the part; typeshed cannot know
            fields[str(part.get_param("name", header="content-disposition"))] = payload.decode("utf-8")
    return Request(request.method, request.path, {**request.query, **fields}, request.headers, b"")


def decompress(body: bytes, encoding: str) -> bytes:
    """The body as the statement or data it is.

    Raises:
        StatementError: 354; an encoding that is not known here, or a body that is not in it.
    """
    if encoding in ("", "identity"):
        return body
    try:
        return _decoder(encoding)(body)
    except (OSError, EOFError, zlib.error, RuntimeError, ValueError) as broken:
        raise StatementError(354, f"{encoding} body: {broken}. (ZLIB_INFLATE_FAILED)") from broken


def _decoder(encoding: str) -> Callable[[bytes], bytes]:
    if encoding == "gzip":
        return gzip.decompress
    if encoding == "deflate":
        return zlib.decompress
    if encoding == "zstd":
        import zstandard  # only some bodies need it

        return lambda body: zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True).read()
    if encoding == "lz4":
        import lz4.frame  # the same

        return lambda body: bytes(lz4.frame.decompress(body))
    raise ValueError("unknown Content-Encoding")


def answer(engine: Engine, request: Request) -> Response:
    """One request from the parsed bytes to the response; errors of statements become responses here."""
    query_id = request.query.get("query_id") or str(uuid.uuid4())
    try:
        return _answer_statement(engine, with_form(request), query_id)
    except StatementError as refused:
        return _refusal(refused, query_id)


def _refusal(refused: StatementError, query_id: str) -> Response:
    headers = {**_headers(query_id), "X-ClickHouse-Exception-Code": str(refused.code)}
    status = _STATUS_OF_CODE.get(refused.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    message = refused.message
    if not message.startswith("Code: "):
        message = f"Code: {refused.code}. DB::Exception: {message}"
    return Response(status, message.encode("utf-8", "replace") + b"\n", headers)


def answer_with_fault(engine: Engine, request: Request, fault: Fault) -> Response | None:
    """The same, with a fault; None for no answer at all."""
    if not fault.fails:
        return answer(engine, request)
    if fault.effect == "all":
        answer(engine, request)
    elif fault.effect == "some":
        with engine.without_some_views(request.query.get("database", "default")):
            answer(engine, request)
    if fault.drop or fault.code is None:
        return None
    return _refusal(StatementError(fault.code, f"ordered by a test, effect: {fault.effect}."), str(uuid.uuid4()))


def _text(request: Request) -> bytes:
    """The statement with its data, which may stand in the URL and in the body."""
    in_url = request.query.get("query", "").encode("utf-8")
    in_body = decompress(request.body, request.headers.get("content-encoding", ""))
    return b"\n".join(part for part in (in_url, in_body) if part)


def _answer_statement(engine: Engine, request: Request, query_id: str) -> Response:
    query = request.query
    text = _text(request)
    if not text:
        return Response(HTTPStatus.OK, b"Ok.\n", {})
    statement = parse(text)
    params = {name.removeprefix("param_"): value for name, value in query.items() if name.startswith("param_")}
    settings = {name: value for name, value in query.items() if not (name in _TRANSPORT or name.startswith("param_"))}
    default_format = query.get("default_format") or request.headers.get("x-clickhouse-format") or "TabSeparated"
    with _session(engine, query, statement) as session:
        try:
            session.prepare(settings, query.get("database"))
            outcome = run(session.connection, statement, params, default_format)
        except RuntimeError as error:  # chDB's own error is one, and its streaming insert raises plain ones
            raise engine_error(error, session.connection, engine.version) from error
        if statement.verb in (b"SET", b"USE"):
            session.remember(statement)
    headers = {**_headers(query_id), "X-ClickHouse-Summary": json.dumps(outcome.summary)}
    if statement.verb in _ANSWERS_WITH_ROWS:
        headers["X-ClickHouse-Format"] = statement.format or default_format
    return Response(HTTPStatus.OK, outcome.body, headers)


def _session(engine: Engine, query: Mapping[str, str], statement: Statement) -> AbstractContextManager[Session]:
    session_id = query.get("session_id")
    if not session_id:
        return engine.borrowed(statement)
    timeout_seconds = float(query.get("session_timeout") or _DEFAULT_SESSION_SECONDS)
    return engine.session(session_id, timeout_seconds, must_exist=query.get("session_check") == "1")


def _headers(query_id: str) -> dict[str, str]:
    return {
        "Content-Type": "text/plain; charset=UTF-8",
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Server-Display-Name": "penstock-tests-bridge",
        "X-ClickHouse-Timezone": "UTC",
    }


# --- HTTP ------------------------------------------------------------------------------------------------------------


class BadRequest(Exception):
    """What arrived is no HTTP that this server reads; the connection is closed after the answer."""


class Handler(socketserver.StreamRequestHandler):
    """HTTP/1.1 with keep-alive. ``http.server`` would do, but refuses URLs over 64 KiB and parses headers as e-mail."""

    server: Bridge
    disable_nagle_algorithm = True
    rbufsize = 1 << 16

    def handle(self) -> None:
        """Serve requests until the client closes the connection or asks for that."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while self._serve_one():
                pass

    def _serve_one(self) -> bool:
        try:
            request = self._read_request()
        except (BadRequest, ValueError) as broken:
            self._write(Response(HTTPStatus.BAD_REQUEST, f"{broken}\n".encode(), {"Connection": "close"}))
            return False
        if request is None:
            return False
        with self.server.busy():
            response = self._answer(request)
            if response is None:
                return False
            self._write(response)
        return request.headers.get("connection", "").lower() != "close"

    def _answer(self, request: Request) -> Response | None:
        if request.path in ("/ping", "/replicas_status"):
            return Response(HTTPStatus.OK, b"Ok.\n", {})
        if request.path == "/faults":
            return self._order(request)
        if request.path != "/":
            return Response(HTTPStatus.NOT_FOUND, b"There is no handle " + request.path.encode() + b"\n", {})
        started = time.perf_counter()
        response = self._answer_or_fail(request)
        if self.server.verbose or response is None or response.status != HTTPStatus.OK:
            self._log(request, response, time.perf_counter() - started)
        return response

    def _answer_or_fail(self, request: Request) -> Response | None:
        faults = self.server.faults
        fault = faults.hit(_text(with_form(request))) if faults.armed else None
        if fault is None:
            return answer(self.server.engine, request)
        faults.wait(fault.delay_seconds)
        return answer_with_fault(self.server.engine, request, fault)

    def _order(self, request: Request) -> Response:
        if request.method == "PUT":
            self.server.faults.set(request.body)
        return Response(HTTPStatus.OK, self.server.faults.report(), {"Content-Type": "application/json"})

    def _log(self, request: Request, response: Response | None, seconds: float) -> None:
        said = (request.query.get("query") or request.body[:300].decode("utf-8", "replace"))[:300]
        status = "no answer" if response is None else response.status.value
        reply = b"" if response is None or response.status == HTTPStatus.OK else b" -> " + response.body[:500].strip()
        line = f"{status} {seconds * 1000:.1f} ms {said!r}{reply.decode('utf-8', 'replace')}"
        print(line, file=sys.stderr, flush=True)

    def _read_request(self) -> Request | None:
        """The next request, or None at the end of the connection."""
        line = self.rfile.readline(_LONGEST_URI_BYTES)
        if not line.strip():
            return None
        if not line.endswith(b"\n"):
            raise BadRequest("URI too long")
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = self._read_headers()
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=10_000))
        return Request(method, url.path, query, headers, self._read_body(headers))

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while (line := self.rfile.readline(_LONGEST_URI_BYTES)) not in (b"\r\n", b"\n"):
            name, separator, value = line.decode("latin-1").partition(":")
            if not separator:
                raise BadRequest("a header without a colon, or none at all")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self._read_chunks())
        return self._read_exactly(int(headers.get("content-length", "0")))

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(1024).split(b";")[0], 16):
            yield self._read_exactly(size)
            self.rfile.readline(1024)
        while self.rfile.readline(1 << 16) not in (b"\r\n", b"\n", b""):
            pass  # trailers

    def _read_exactly(self, size: int) -> bytes:
        """The body, or the connection is treated as gone: half an insert must not be stored."""
        body = self.rfile.read(size)
        if len(body) != size:
            raise ConnectionError("the client left in the middle of a body")
        return body

    def _write(self, response: Response) -> None:
        lines = [f"HTTP/1.1 {response.status.value} {response.status.phrase}", f"Content-Length: {len(response.body)}"]
        lines += [f"{name}: {value}" for name, value in {"Connection": "keep-alive", **response.headers}.items()]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.wfile.write(head + response.body)


class Bridge(socketserver.ThreadingTCPServer):
    """The listening socket: a thread per connection; statements run beside each other, as chDB releases the GIL."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], engine: Engine, *, verbose: bool) -> None:
        super().__init__(address, Handler)
        self.engine = engine
        self.faults = Faults()
        self.verbose = verbose
        self._busy = 0
        self._idle = threading.Condition()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Counts the statements under way, for a shutdown that waits for them."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: self._busy == 0, timeout_seconds)


@contextlib.contextmanager
def sole_owner(path: Path, timeout_seconds: float = 10.0) -> Iterator[None]:
    """Hold the directory against a second bridge: chDB would fail there with an empty message.

    Waits a little, as a predecessor that was killed may be on its way out.
    """
    path.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_seconds
    with path.with_name(path.name + ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SystemExit(f"another process uses {path}") from None
                time.sleep(0.05)
        yield


def serve(path: Path, host: str, port: int, *, verbose: bool) -> None:
    """Serve until SIGTERM or SIGINT, then finish the statements under way."""
    with sole_owner(path):
        engine = Engine(path)
        with Bridge((host, port), engine, verbose=verbose) as bridge:
            for number in (signal.SIGTERM, signal.SIGINT):
                # shutdown() waits for the loop that the handler interrupts, hence the thread
                signal.signal(number, lambda *_: threading.Thread(target=bridge.shutdown).start())
            print(f"ClickHouse {engine.version} on http://{host}:{port}, data in {path}", flush=True)
            bridge.serve_forever(poll_interval=0.05)
            idle = bridge.wait_until_idle(10)
        if idle:
            engine.close()
    sys.stdout.flush()
    os._exit(0)  # threads of connections that are still open sit in chDB's library, whose end under them can crash


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.clickhouse_bridge", description="chDB behind HTTP")
    parser.add_argument("--path", type=Path, required=True, help="the data's directory; made if missing")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--verbose", action="store_true", help="log every statement, not only failing ones")
    options = parser.parse_args(arguments)
    os.environ["TZ"] = "UTC"  # the server's time zone; DateTime columns without one would follow the machine's
    time.tzset()
    serve(options.path.resolve(), options.host, options.port, verbose=options.verbose)


if __name__ == "__main__":
    main()
