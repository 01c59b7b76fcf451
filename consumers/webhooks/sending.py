"""Sends one request to an endpoint, whatever the endpoint does; and to no address that is not public.

The address is looked at as the socket is made for it, so nothing comes between: neither another answer of the name
server nor another spelling. Redirects are not followed, as they lead elsewhere.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

import aiohttp
import certifi
from yarl import URL

from consumers.webhooks.connecting import Connector
from consumers.webhooks.resolving import Resolver
from penstock.destinations import Destinations
from penstock.errors import StartError
from penstock.settings import Webhooks

_KEPT_BYTES = 1024
_READ_BYTES = 64 << 10
"""Of an answer: so that the connection can be used again. What is longer closes it."""

_LONGEST_ERROR = 300
_KEPT_URLS = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt.

    Attributes:
        status_code: None where there was no answer.
        error: what went wrong, in words; None where nothing did.
        response: the beginning of the answer's body.
        retry_after_seconds: how long the endpoint wants to be left alone.
    """

    status_code: int | None
    duration_ms: int
    error: str | None = None
    response: str = ""
    retry_after_seconds: float | None = None


_refusals: ContextVar[list[str]] = ContextVar("refusals")
"""Of the attempt under way: where several addresses are tried, what is raised does not tell of them any more."""


class _Refused(OSError):
    """The address may not be connected to."""


class Sender:
    """See the module. Belongs to the event loop on which it is made.

    Args:
        trust: whose certificates are believed, see `trusted`.
    """

    def __init__(self, settings: Webhooks, destinations: Destinations, trust: ssl.SSLContext) -> None:
        self._destinations = destinations
        self._target = lru_cache(_KEPT_URLS)(self._read_url)
        connector = Connector(
            limit=settings.max_connections,
            ssl=trust,
            resolver=Resolver(),
            socket_factory=self._socket,
            ttl_dns_cache=10,
            keepalive_timeout=30,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=settings.timeout_seconds),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )

    async def close(self) -> None:
        """Gives all connections back."""
        await self._session.close()

    def _socket(self, addr_info: aiohttp.AddrInfoType) -> socket.socket:
        """See the module."""
        family, kind, protocol, _, address = addr_info
        refusal = self._destinations.refusal(str(address[0]))
        if refusal is not None:
            _refusals.get([]).append(refusal)
            raise _Refused(refusal)
        return socket.socket(family, kind, protocol)

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Posts the body; never raises for what the network or the endpoint does."""
        started = time.perf_counter()
        refusals: list[str] = []
        _refusals.set(refusals)
        status_code, error, response, retry_after = None, None, "", None
        try:
            target = self._target(url)
            async with self._session.post(target, data=body, headers=headers, allow_redirects=False) as answer:
                status_code = answer.status
                retry_after = _retry_after(answer.headers.get("Retry-After"))
                response = await _beginning(answer)
        except asyncio.CancelledError:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever an endpoint makes of it is its failure
            error = f"Refused: {refusals[-1]}" if refusals else _described(failure)
        if error is None and status_code is not None and not 200 <= status_code < 300:
            error = _status_error(status_code)
        return Answer(status_code, _since(started), error, response, retry_after)

    def _read_url(self, url: str) -> URL:
        """The URL as it was given: an endpoint may have signed its query. Only a name that is not ASCII is encoded.

        Raises:
            _Refused: it is none, or is not allowed any more: the settings may have become stricter.
        """
        if problem := self._destinations.check_url(url):
            raise _Refused(problem)
        return URL(url, encoded=url.isascii())


def trusted(ca_file: str) -> ssl.SSLContext:
    """The authorities of a file, or the public ones where none is named.

    Raises:
        StartError: the file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file or certifi.where())
    except OSError as error:  # of which those of TLS are some
        raise StartError(
            f"PENSTOCK_WEBHOOKS__CA_FILE: no certificates can be read from {ca_file!r}: {error}."
        ) from error


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


async def _beginning(answer: aiohttp.ClientResponse) -> str:
    """The beginning of the body; what is too long is not waited for."""
    read, kept = 0, b""
    async for piece in answer.content.iter_chunked(_READ_BYTES):
        kept += piece[: _KEPT_BYTES - len(kept)]
        read += len(piece)
        if read > _READ_BYTES:
            answer.close()
            break
    return kept.decode(errors="replace")


def _status_error(status_code: int) -> str:
    if 300 <= status_code < 400:
        return f"The endpoint answered {status_code}; redirects are not followed"
    return f"The endpoint answered {status_code}"


def _described(failure: Exception) -> str:
    """In words for who owns the endpoint."""
    if isinstance(failure, _Refused | aiohttp.InvalidURL):  # an address in another spelling than the usual one, too
        return f"Refused: {failure}"[:_LONGEST_ERROR]
    if isinstance(failure, TimeoutError):
        return "The endpoint did not answer in time"
    if isinstance(failure, aiohttp.ClientConnectorCertificateError):
        return f"The endpoint's certificate is not trusted: {failure.certificate_error}"[:_LONGEST_ERROR]
    if isinstance(failure, aiohttp.ClientConnectorError):
        return f"The endpoint cannot be reached: {failure.os_error}"[:_LONGEST_ERROR]
    return f"The request failed: {type(failure).__name__} {failure}".rstrip()[:_LONGEST_ERROR]


def _retry_after(header: str | None) -> float | None:
    """Seconds, of a number of them or of a date; None where the header says neither."""
    if header is None:
        return None
    if header.strip().isdecimal() and len(header) < 10:
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
