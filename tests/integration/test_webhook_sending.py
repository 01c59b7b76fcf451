"""One request to an endpoint over real sockets of this machine, whatever the endpoint does."""

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from queue import Queue
from typing import Any

import aiohttp.connector
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from consumers.webhooks.sending import Answer, Sender, trusted
from penstock.destinations import Destinations, Network
from penstock.errors import StartError
from penstock.settings import Webhooks
from tests.support.services import LOOPBACK, free_port

pytestmark = pytest.mark.anyio

LOOPBACKS: Sequence[Network] = [ip_network("127.0.0.0/8")]
NOWHERE: Sequence[Network] = []

HERE = x509.IPAddress(ip_address(LOOPBACK))

BODY = b'{"type":"order.paid"}'
HEADERS = {"Content-Type": "application/json", "webhook-id": "1"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Senders = Callable[..., Sender]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class Authority:
    """Signs certificates of endpoints."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signs = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True}
        own = (
            self._builder(self._subject, self._key, 30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**signs), critical=True)
        )
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(own.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=90))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def server(self, *alternatives: x509.GeneralName, days: int = 30) -> ssl.SSLContext:
        """What a server needs that has a certificate of these names; with negative days it is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "endpoint")])
        builder = self._builder(subject, key, days).add_extension(
            x509.SubjectAlternativeName(alternatives), critical=False
        )
        file = self._directory / "endpoint.pem"
        file.write_bytes(
            builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "root")


@pytest.fixture
async def senders(authority: Authority) -> AsyncIterator[Senders]:
    """Makes senders that may reach this machine and trust one authority, and ends them."""
    made: list[Sender] = []

    def make(allowed: Sequence[Network] = LOOPBACKS, **settings: Any) -> Sender:
        known = {"timeout_seconds": 10, "ca_file": str(authority.file), **settings}
        read = Webhooks(**known)
        made.append(Sender(read, Destinations(allowed), trusted(read.ca_file)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
async def sender(senders: Senders) -> Sender:
    return senders()


class Names:
    """A name server of the tests' own.

    Attributes:
        answers: of each name, one after the other; the last one stays.
        asked: the names that were asked for.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def getaddrinfo(self, host: Any, port: Any, *hints: int) -> Any:
        """As the real one, as the event loop calls it."""
        if host not in self.answers:  # spellings of addresses are read as the machine reads them; nobody is asked
            family, kind, protocol, flags = (*hints, 0, 0, 0, 0)[:4]
            return self._real(host, port, family, kind, protocol, flags | socket.AI_NUMERICHOST)
        self.asked.append(host)
        answers = self.answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [info for address in addresses for info in self._real(address, port, type=socket.SOCK_STREAM)]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    return found


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server as most are."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, LOOPBACK, port, ssl_context=tls).start()
        yield port
    finally:
        await runner.cleanup()


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """The URL of a server that is odd once it has read the head of a request."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await script(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(take, LOOPBACK, 0)
    async with server:
        yield f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/hooks"


def answering(answer: bytes) -> Script:
    """Says this, and hangs up."""

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return script


def always(body: bytes, headers: dict[str, str] | None = None) -> Handler:
    """Answers this."""

    async def take(_: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers)

    return take


def url_of(port: int, path: str = "/hooks", scheme: str = "http") -> str:
    return f"{scheme}://{LOOPBACK}:{port}{path}"


async def post(sender: Sender, url: str) -> Answer:
    return await asyncio.wait_for(sender.send(url, BODY, HEADERS), 8)


# --- answers


async def test_what_is_sent_is_what_was_given_and_nothing_is_said_of_the_sender(sender: Sender) -> None:
    got: list[tuple[str, bytes, dict[str, str]]] = []

    async def take(request: web.Request) -> web.Response:
        got.append((f"{request.method} {request.raw_path}", await request.read(), dict(request.headers)))
        return web.Response(text="taken")

    async with served(take) as port:
        answer = await post(sender, url_of(port, "/hooks/a%20b?x=1&y=%26"))
    assert (answer.status_code, answer.error, answer.response) == (200, None, "taken")
    assert answer.retry_after_seconds is None
    assert 0 <= answer.duration_ms < 5000
    (line, body, headers) = got[0]
    assert line == "POST /hooks/a%20b?x=1&y=%26"
    assert body == BODY
    assert headers == {**HEADERS, "Host": f"{LOOPBACK}:{port}", "Content-Length": str(len(BODY))}


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_an_answer_from_200_to_299_is_no_error(sender: Sender, status: int) -> None:
    async with scripted(answering(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)) as url:
        answer = await post(sender, url)
    assert (answer.status_code, answer.error, answer.response) == (status, None, "")


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503, 999])
async def test_all_others_are_errors_with_what_the_endpoint_says(sender: Sender, status: int) -> None:
    async with scripted(answering(b"HTTP/1.1 %d X\r\nContent-Length: 4\r\n\r\noh.." % status)) as url:
        answer = await post(sender, url)
    assert (answer.status_code, answer.response) == (status, "oh..")
    assert answer.error == f"The endpoint answered {status}"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(sender: Sender, status: int) -> None:
    asked: list[str] = []

    async def take(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with served(take) as port:
        answer = await post(sender, url_of(port))
    assert (answer.status_code, answer.error) == (
        status,
        f"The endpoint answered {status}; redirects are not followed",
    )
    assert asked == ["/hooks"]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", ""),
        (b"x" * 1023, "x" * 1023),
        (b"x" * 1024, "x" * 1024),
        (b"x" * 1025, "x" * 1024),
        (b"x" * 1000 + b"y" * 50_000, "x" * 1000 + "y" * 24),
        ("ü".encode() * 1000, "ü" * 512),
        (b"x" + "ü".encode() * 1000, "x" + "ü" * 511 + "\N{REPLACEMENT CHARACTER}"),
        (b"\xff\xfe\x00\x01", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\x00\x01"),
        (bytes(range(256)) * 8, None),
    ],
    ids=["empty", "1023", "1024", "1025", "51000", "letters", "half a letter", "binary", "all bytes"],
)
async def test_the_beginning_of_a_body_is_kept(sender: Sender, body: bytes, kept: str | None) -> None:
    async with served(always(body)) as port:
        answer = await post(sender, url_of(port))
    assert (answer.status_code, answer.error) == (200, None)
    assert answer.response == (body[:1024].decode(errors="replace") if kept is None else kept)


async def test_a_packed_body_is_not_unpacked(sender: Sender) -> None:
    """Else a small answer would become a huge one."""
    packed = b"\x1f\x8b no gzip at all"
    async with served(always(packed, {"Content-Encoding": "gzip"})) as port:
        answer = await post(sender, url_of(port))
    assert (answer.status_code, answer.error) == (200, None)
    assert answer.response == packed.decode(errors="replace")


# --- how long the endpoint wants to be left alone


@pytest.mark.parametrize("status", [b"200", b"503"])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("999999999", 999_999_999),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00", 0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("1e9", None),
        ("soon", None),
        ("99999999999999999999", None),
        ("Wed, 99 Oct 2099 07:28:00 GMT", None),
        ("Wed, 21 Oct 10000 07:28:00 GMT", None),
        ("Wed, 21 Oct 2099 07:28:00 +9900", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2099 99999999999999999999:00:00 GMT", None),
    ],
)
async def test_retry_after_in_both_forms_and_in_none(
    sender: Sender, status: bytes, header: str, seconds: float | None
) -> None:
    lines = b"HTTP/1.1 %b X\r\nRetry-After: %b\r\nContent-Length: 2\r\n\r\nok" % (status, header.encode())
    async with scripted(answering(lines)) as url:
        answer = await post(sender, url)
    assert answer.retry_after_seconds == seconds
    assert answer.status_code == int(status)
    assert answer.error == (None if status == b"200" else f"The endpoint answered {status.decode()}")
    assert answer.response == "ok"


async def test_retry_after_a_moment_is_how_long_it_is_until_then(sender: Sender) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    lines = b"HTTP/1.1 503 X\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % moment.encode()
    async with scripted(answering(lines)) as url:
        answer = await post(sender, url)
    assert answer.retry_after_seconds == pytest.approx(3600, abs=10)


# --- endpoints that do not end


class Hung:
    """Does something again and again until the other side hangs up."""

    def __init__(self, first: bytes = b"", again: bytes = b"", pause_seconds: float = 0.01) -> None:
        self._first, self._again, self._pause_seconds = first, again, pause_seconds
        self.hung_up = asyncio.Event()
        self.sent = 0

    async def script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writing = asyncio.create_task(self._write(writer))
        try:
            while await reader.read(65536):
                pass
        except OSError:
            pass
        finally:
            self.hung_up.set()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._first)
        while self._again:
            writer.write(self._again)
            self.sent += len(self._again)
            await writer.drain()
            await asyncio.sleep(self._pause_seconds)

    async def is_left(self) -> bool:
        """Whether the connection was closed."""
        async with asyncio.timeout(20):
            return await self.hung_up.wait()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    ("first", "again", "status_code"),
    [
        (b"", b"", None),
        (b"HTTP/1.1 2", b"", None),
        (HEAD, b"", None),
        (HEAD + b"X: ", b"x", None),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (HEAD + b"Content-Length: 10\r\n\r\nhalf", b"", 200),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"x", 200),
        (HEAD + b"\r\n", b"x", 200),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 200),
    ],
    ids=["nothing", "half a line", "half a head", "endless head", "continue", "half", "long", "endless", "chunks"],
)
async def test_what_is_not_answered_in_time_is_left(
    senders: Senders, first: bytes, again: bytes, status_code: int | None
) -> None:
    hung = Hung(first, again)
    async with scripted(hung.script) as url:
        started = time.monotonic()
        answer = await post(senders(timeout_seconds=0.3), url)
        assert 0.25 < time.monotonic() - started < 15
        assert (answer.status_code, answer.error) == (status_code, "The endpoint did not answer in time")
        assert 250 <= answer.duration_ms < 15_000
        assert await hung.is_left()


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (HEAD + b"\r\n", b"x" * 8192),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"x" * 8192),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2000\r\n" + b"x" * 8192 + b"\r\n"),
    ],
    ids=["until closed", "length", "chunks"],
)
async def test_a_body_without_end_is_cut_and_its_connection_closed(sender: Sender, first: bytes, again: bytes) -> None:
    hung = Hung(first, again, 0)
    async with scripted(hung.script) as url:
        started = time.monotonic()
        answer = await post(sender, url)
        assert time.monotonic() - started < 15
        assert (answer.status_code, answer.error, answer.response) == (200, None, "x" * 1024)
        assert await hung.is_left()
    assert hung.sent < 32 << 20


async def test_an_attempt_that_is_abandoned_ends(sender: Sender) -> None:
    hung = Hung()
    async with scripted(hung.script) as url:
        task = asyncio.create_task(sender.send(url, BODY, HEADERS))
        await asyncio.wait([task], timeout=0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await hung.is_left()


# --- endpoints that are broken


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\xff\xfe\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"x" * 100_000,
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
async def test_what_is_no_answer_is_said_in_words(sender: Sender, answer: bytes) -> None:
    async with scripted(answering(answer)) as url:
        found = await post(sender, url)
    assert found.status_code is None
    assert found.error is not None
    assert found.error.startswith("The request failed: ")
    assert len(found.error) <= 300
    assert found.response == ""


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nhalf\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_an_error(sender: Sender, answer: bytes) -> None:
    async with scripted(answering(answer)) as url:
        found = await post(sender, url)
    assert found.error is not None
    assert found.error.startswith("The request failed: ")
    assert found.status_code in {None, 200}


async def test_a_port_where_nobody_is(sender: Sender) -> None:
    found = await post(sender, url_of(free_port()))
    assert found.status_code is None
    assert found.error is not None
    assert found.error.startswith("The endpoint cannot be reached: ")


async def test_a_name_that_nobody_knows(sender: Sender) -> None:
    found = await post(sender, "http://unknown.example/hooks")
    assert found.status_code is None
    assert found.error is not None
    assert found.error.startswith("The endpoint cannot be reached: ")


@pytest.mark.parametrize(
    "url", ["", "/hooks", "http://", "ftp://127.0.0.1/", "http://a..b/", "http://[::1", "http://h:x/"]
)
async def test_a_url_that_is_none_is_an_error_of_the_attempt(sender: Sender, url: str) -> None:
    found = await post(sender, url)
    assert found.status_code is None
    assert found.error


async def test_a_header_that_would_be_two_is_not_sent(sender: Sender) -> None:
    asked: list[str] = []

    async def take(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with served(take) as port:
        found = await sender.send(url_of(port), BODY, {"X-Name": "a\r\nX-Other: b"})
    assert found.status_code is None
    assert found.error
    assert asked == []


async def test_names_that_nobody_answers_for_hold_up_no_other(
    senders: Senders, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = threading.Event()

    def look_up(host: Any, *hints: Any) -> Any:
        if host.startswith("silent"):
            is_over.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return names.getaddrinfo(host, *hints)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    names.answers["hooks.example"] = [[LOOPBACK]]
    impatient = senders(timeout_seconds=2)
    async with served(always(b"")) as port:
        silent = [asyncio.create_task(post(impatient, f"http://silent{number}.example/")) for number in range(40)]
        await asyncio.sleep(0)
        assert (await post(impatient, f"http://hooks.example:{port}/")).status_code == 200
        assert {(await one).status_code for one in silent} == {None}
    waiting = [thread for thread in threading.enumerate() if thread.name == "webhooks-dns"]
    assert waiting
    assert all(thread.daemon for thread in waiting)  # they keep no process from ending
    is_over.set()
    for thread in waiting:
        thread.join(10)


async def test_a_url_is_judged_by_the_settings_of_now_and_not_of_when_it_was_registered() -> None:
    sender = Sender(Webhooks(), Destinations(LOOPBACKS, ports=[443]), trusted(""))
    async with served(always(b"")) as port:
        found = [await post(sender, url_of(port)) for _ in range(2)]
    await sender.close()
    assert [answer.error for answer in found] == ["Refused: Must have one of the ports 443"] * 2


# --- certificates


async def test_a_file_of_authorities_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for file in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        with pytest.raises(StartError, match="PENSTOCK_WEBHOOKS__CA_FILE: no certificates can be read from"):
            trusted(str(file))


class Shop:
    """An endpoint that remembers who came."""

    def __init__(self) -> None:
        self.got: list[web.Request] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.got.append(request)
        return web.Response(text="ok")


async def test_an_endpoint_whose_authority_is_trusted_gets_its_delivery(sender: Sender, authority: Authority) -> None:
    shop = Shop()
    async with served(shop.take, authority.server(HERE)) as port:
        answer = await post(sender, url_of(port, scheme="https"))
    assert (answer.status_code, answer.error) == (200, None)
    assert len(shop.got) == 1


@pytest.mark.parametrize("wrong", ["not a public authority", "another authority", "another address", "over"])
async def test_a_certificate_that_is_wrong_ends_it_before_anything_is_sent(
    senders: Senders, authority: Authority, tmp_path: Path, wrong: str
) -> None:
    other, shop = Authority(tmp_path, "other"), Shop()
    name = x509.DNSName("other.example") if wrong == "another address" else HERE
    ca_file = {"not a public authority": "", "another authority": str(other.file)}.get(wrong, str(authority.file))
    tls = authority.server(name, days=-1 if wrong == "over" else 30)
    async with served(shop.take, tls) as port:
        answer = await post(senders(ca_file=ca_file), url_of(port, scheme="https"))
    assert answer.status_code is None
    assert answer.error is not None
    assert answer.error.startswith("The endpoint's certificate is not trusted: ")
    assert len(answer.error) <= 300
    assert shop.got == []


async def test_an_endpoint_that_knows_no_tls_gets_nothing(sender: Sender) -> None:
    shop = Shop()
    async with served(shop.take) as port:
        answer = await post(sender, url_of(port, scheme="https"))
    assert answer.status_code is None
    assert answer.error
    assert shop.got == []


# --- addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "１２７.0.0.1",
        "%31%32%37.0.0.1",
        "localhost",
        "localhost.",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[::1%25lo]",
        "[::1%251]",
    ],
)
async def test_no_spelling_leads_to_this_machine(senders: Senders, names: Names, host: str) -> None:
    names.answers |= {one: [["127.0.0.1", "::1"]] for one in ("localhost", "localhost.")}
    shop = Shop()
    async with served(shop.take) as port:
        answer = await post(senders(NOWHERE), f"http://{host}:{port}/hooks")
    assert answer.status_code is None
    assert answer.error is not None
    assert answer.error.startswith(("Refused: ", "The endpoint cannot be reached: "))
    assert shop.got == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "fd00:ec2::254", "fe80::1", "::ffff:10.0.0.1"],
)
async def test_a_name_that_leads_to_a_private_address_is_refused(senders: Senders, names: Names, address: str) -> None:
    """The URL is fine: names are not looked up when it is registered."""
    url = "http://hooks.example/x"
    assert Destinations().check_url(url) is None
    names.answers["hooks.example"] = [[address]]
    answer = await post(senders(NOWHERE), url)
    assert answer.status_code is None
    assert answer.error == f"Refused: The address {address} is not on the public internet"
    assert names.asked == ["hooks.example"]


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1", "192.168.1.1"], ["127.0.0.1", "::1"], ["10.0.0.1", "fd00::1", "192.168.1.1"]]
)
async def test_a_name_whose_addresses_are_all_private_is_refused(
    senders: Senders, names: Names, addresses: list[str]
) -> None:
    names.answers["hooks.example"] = [addresses]
    answer = await post(senders(NOWHERE), "http://hooks.example/x")
    assert answer.status_code is None
    assert answer.error is not None
    assert re.match("Refused: The address .* is not on the public internet", answer.error)


async def test_of_several_addresses_the_ones_that_are_refused_are_not_connected_to(
    sender: Sender, names: Names
) -> None:
    """A socket for another address would fail the test: see the fixture that lets none beyond this machine."""
    shop = Shop()
    names.answers["hooks.example"] = [["10.0.0.1", "fd00::1", LOOPBACK]]
    async with served(shop.take) as port:
        answer = await post(sender, f"http://hooks.example:{port}/x")
    assert (answer.status_code, answer.error) == (200, None)
    assert len(shop.got) == 1


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused_then(
    sender: Sender, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(_: web.Request) -> web.StreamResponse:
        answer = web.Response(text="ok")
        answer.force_close()
        return answer

    names.answers["hooks.example"] = [[LOOPBACK], ["10.0.0.1"]]
    async with served(take) as port:
        first = await post(sender, f"http://hooks.example:{port}/x")
        later = time.monotonic() + 3600
        monkeypatch.setattr(
            aiohttp.connector, "monotonic", lambda: later
        )  # what was looked up is not believed any more
        second = await post(sender, f"http://hooks.example:{port}/x")
    assert first.status_code == 200
    assert second.status_code is None
    assert second.error == "Refused: The address 10.0.0.1 is not on the public internet"
    assert names.asked == ["hooks.example"] * 2


async def test_a_connection_that_is_kept_is_not_led_elsewhere(sender: Sender, names: Names) -> None:
    shop = Shop()
    names.answers["hooks.example"] = [[LOOPBACK], ["10.0.0.1"]]
    async with served(shop.take) as port:
        answers = [await post(sender, f"http://hooks.example:{port}/x") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert names.asked == ["hooks.example"]


# --- connections, and what is not carried along


async def test_a_connection_is_used_again(sender: Sender) -> None:
    peers: list[object] = []

    async def take(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(body=b"x" * 50_000, status=200 if len(peers) % 2 else 500)

    async with served(take) as port:
        for _ in range(6):
            await post(sender, url_of(port))
    assert len(peers) == 6
    assert len(set(peers)) == 1


async def test_a_connection_that_failed_is_not_used_again(senders: Senders) -> None:
    sender = senders(timeout_seconds=0.3)
    came = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        if came > 1:
            writer.write(OK)
        await reader.read()

    async with scripted(script) as url:
        assert (await post(sender, url)).status_code is None
        assert (await post(sender, url)).status_code == 200
    assert came == 2


async def test_a_kept_connection_that_the_endpoint_closed_meanwhile_is_made_anew(sender: Sender) -> None:
    came = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        await reader.readexactly(len(BODY))
        writer.write(OK)  # and hangs up without having said that it would

    with _scripted_elsewhere(script) as url:
        for _ in range(3):
            answer = await sender.send(url, BODY, HEADERS)
            assert (answer.status_code, answer.error) == (200, None)
            time.sleep(0.2)  # noqa: ASYNC251 - the loop has much else to do, and has not noticed yet
    assert came == 3


@contextmanager
def _scripted_elsewhere(script: Script) -> Iterator[str]:
    """As `scripted`, on a loop of its own."""
    ready: Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def serve() -> None:
        is_over = asyncio.Event()
        async with scripted(script) as url:
            ready.put((url, asyncio.get_running_loop(), is_over))
            await is_over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    url, loop, is_over = ready.get(timeout=10)
    yield url
    loop.call_soon_threadsafe(is_over.set)
    thread.join(10)


async def test_a_request_is_sent_once_whatever_becomes_of_it(sender: Sender) -> None:
    came = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        await reader.readexactly(len(BODY))
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")  # and is gone
        came += 1

    async with scripted(script) as url:
        assert (await post(sender, url)).status_code == 200
        assert (await post(sender, url)).status_code is None
    assert came == 2


async def test_cookies_are_not_sent_back(sender: Sender) -> None:
    cookies: list[str | None] = []

    async def take(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        answer = web.Response()
        answer.set_cookie("session", "secret", path="/")
        return answer

    async with served(take) as port:
        for _ in range(3):
            await post(sender, url_of(port))
    assert cookies == [None] * 3


async def test_proxies_and_passwords_of_the_environment_are_ignored(
    senders: Senders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(f"machine {LOOPBACK} login ada password secret\ndefault login a password b\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    proxy, shop = Shop(), Shop()
    async with served(proxy.take) as proxy_port, served(shop.take) as port:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{LOOPBACK}:{proxy_port}")
            monkeypatch.setenv(name.upper(), f"http://{LOOPBACK}:{proxy_port}")
        monkeypatch.setenv("no_proxy", "")
        answer = await post(senders(), url_of(port))
    assert answer.status_code == 200
    assert proxy.got == []
    assert len(shop.got) == 1
    assert "Authorization" not in shop.got[0].headers
