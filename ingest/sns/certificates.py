"""The certificates that SNS signs with: from where they may be, that they may be trusted, and that they are kept.

A certificate's own host is not asked for more than its text: whether it may be trusted follows from its chain alone.
"""

import asyncio
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import AuthorityInformationAccessOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from ingest.sns.hosts import PinnedHosts
from penstock.errors import InvalidSignature, SourceUnavailable, StartError

_FETCH_SECONDS = 5
_MAX_BYTES = 64 * 1024
_KEPT = 64
_KEPT_SECONDS = 24 * 3600
_REFUSED_SECONDS = 60
"""So long a certificate that was refused is not asked for again: whoever sends rubbish must not make us ask AWS."""

_FETCHES_AT_ONCE = 4
_ISSUERS_HOST = ".amazontrust.com"
_MAX_INTERMEDIATES = 4


@dataclass(frozen=True, slots=True)
class _Known:
    """A certificate's key, or why there is none, and until when (monotonic seconds) that is believed."""

    key: RSAPublicKey | None
    reason: str
    until_seconds: float
    not_after: datetime | None = None


class Certificates:
    """See the module. Belongs to the event loop.

    Args:
        trusted: the roots, or certificates that are trusted for themselves.
        now: the machine's clock, aware.
    """

    def __init__(
        self,
        hosts: PinnedHosts,
        trusted: Sequence[x509.Certificate],
        http: httpx.AsyncClient,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._hosts = hosts
        self._trusted = list(trusted)
        self._http = http
        self._now = now
        self._known: dict[str, _Known] = {}
        self._learning: dict[str, asyncio.Task[_Known]] = {}
        self._fetching = asyncio.Semaphore(_FETCHES_AT_ONCE)

    async def key_of(self, url: str) -> RSAPublicKey:
        """The key of the certificate at `url`.

        Raises:
            InvalidSignature: the URL is not SNS's, or the certificate cannot be trusted.
            SourceUnavailable: the host does not answer.
        """
        self._hosts.expect(url, "SigningCertURL")
        known = self._known.get(url)
        if known is None or not self._is_good(known):
            known = await asyncio.shield(self._learning_of(url))
        if known.key is None:
            raise InvalidSignature(known.reason)
        return known.key

    def _learning_of(self, url: str) -> "asyncio.Task[_Known]":
        """One for all who wait for it; it goes on where one of them goes away."""
        if (task := self._learning.get(url)) is None:
            task = self._learning[url] = asyncio.create_task(self._learn(url))
            task.add_done_callback(lambda _: self._learning.pop(url, None))
        return task

    def _is_good(self, known: _Known) -> bool:
        return time.monotonic() < known.until_seconds and (known.not_after is None or self._now() <= known.not_after)

    async def _learn(self, url: str) -> _Known:
        try:
            async with self._fetching:
                leaf, key = await self._trusted_leaf(url)
            known = _Known(key, "", time.monotonic() + _KEPT_SECONDS, leaf.not_valid_after_utc)
        except InvalidSignature as refused:
            known = _Known(None, refused.message, time.monotonic() + _REFUSED_SECONDS)
        self._known[url] = known
        if len(self._known) > _KEPT:
            self._forget_one()
        return known

    def _forget_one(self) -> None:
        """The oldest of those that were refused, so that rubbish does not push good ones out; else the oldest."""
        refused = (url for url, known in self._known.items() if known.key is None)
        del self._known[next(refused, next(iter(self._known)))]

    async def _trusted_leaf(self, url: str) -> tuple[x509.Certificate, RSAPublicKey]:
        leaf, *others = _read_pem(await self._fetch(url))
        key = leaf.public_key()
        if not isinstance(key, RSAPublicKey):
            raise InvalidSignature("The certificate has no RSA key")
        if not self._is_pinned(leaf):
            others += await self._issuers(leaf, others)
            self._expect_chain(leaf, others)
        return leaf, key

    def _is_pinned(self, leaf: x509.Certificate) -> bool:
        """Whether the certificate itself is among the trusted ones, and valid now."""
        if leaf not in self._trusted:
            return False
        if not leaf.not_valid_before_utc <= self._now() <= leaf.not_valid_after_utc:
            raise InvalidSignature("The certificate is not valid now")
        return True

    def _expect_chain(self, leaf: x509.Certificate, others: list[x509.Certificate]) -> None:
        """What the leaf is for is not looked at: it comes from a pinned host, and SNS's says nothing of signing."""
        authorities = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        builder = PolicyBuilder().store(Store(self._trusted)).time(self._now())
        builder = builder.extension_policies(ca_policy=authorities, ee_policy=ExtensionPolicy.permit_all())
        verifier = builder.build_client_verifier()
        try:
            verifier.verify(leaf, others)
        except VerificationError as error:
            raise InvalidSignature(f"The certificate cannot be trusted: {error}") from error

    async def _issuers(self, leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        """The certificates between the leaf and the roots, which SNS does not send along."""
        found: list[x509.Certificate] = []
        known = {one.subject for one in [*self._trusted, *others]}
        while leaf.issuer not in known and len(found) < _MAX_INTERMEDIATES:
            if (url := _issuer_url(leaf)) is None:
                break
            leaf = _read_der(await self._fetch(url))
            found.append(leaf)
        return found

    async def _fetch(self, url: str) -> bytes:
        try:
            async with self._http.stream("GET", url, timeout=_FETCH_SECONDS, follow_redirects=False) as answer:
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > _MAX_BYTES:
                        raise InvalidSignature("The certificate is too large")
        except httpx.HTTPError as error:
            raise SourceUnavailable(f"The certificate cannot be had: {error!r}", retry_after_seconds=5) from error
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise SourceUnavailable(f"The certificate's host answers {answer.status_code}", retry_after_seconds=5)
        if answer.status_code != httpx.codes.OK:
            raise InvalidSignature(f"There is no certificate at its URL ({answer.status_code})")
        return body


def _read_pem(text: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise InvalidSignature("There is no certificate at its URL") from error


def _read_der(text: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(text)
    except ValueError as error:
        raise InvalidSignature("The certificate's issuer is not where it says") from error


def _issuer_url(certificate: x509.Certificate) -> str | None:
    """Where Amazon's authority has the issuer's certificate. Plain HTTP: what comes must fit the chain all the same."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    for one in found:
        if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS:
            url = str(one.access_location.value)
            if (urlsplit(url).hostname or "").endswith(_ISSUERS_HOST):
                return url
    return None


def read_trusted(file: str) -> list[x509.Certificate]:
    """The certificates of a PEM file; "" for the public authorities.

    Raises:
        StartError: the file cannot be read, or has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # of public roots with odd serial numbers
            return x509.load_pem_x509_certificates(Path(file or certifi.where()).read_bytes())
    except (OSError, ValueError) as error:
        raise StartError(f"PENSTOCK_SNS__CA_FILE: no certificates can be read from {file!r}: {error}.") from error
