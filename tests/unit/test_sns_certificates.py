"""SNS's certificates: how long they are believed, and the chain that SNS does not send along."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ingest.sns.certificates import Certificates, read_trusted
from ingest.sns.hosts import PinnedHosts
from penstock.errors import InvalidSignature, SourceUnavailable, StartError
from tests.support.sns import Signed, make_certificate

pytestmark = pytest.mark.anyio

URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"
ISSUER_URL = "http://crt.r2m01.amazontrust.com/r2m01.cer"

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def root() -> Signed:
    return make_certificate("Amazon Root CA 1", None, is_authority=True)


@pytest.fixture(scope="module")
def between(root: Signed) -> Signed:
    return make_certificate("Amazon RSA 2048 M01", root, is_authority=True)


def certificates(
    root: Signed, files: Files, asked: list[str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Certificates:
    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        await asyncio.sleep(0.01)
        found = files.get(str(request.url))
        return httpx.Response(404) if found is None else httpx.Response(200, content=found)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return Certificates(PinnedHosts(), [root.certificate], http, now=now)


async def test_the_issuer_that_is_not_sent_along_is_fetched_from_where_the_certificate_says(
    root: Signed, between: Signed
) -> None:
    leaf = make_certificate("sns.amazonaws.com", between, issuer_url=ISSUER_URL)
    asked: list[str] = []
    files = {URL: leaf.pem, ISSUER_URL: between.certificate.public_bytes(Encoding.DER)}
    assert await certificates(root, files, asked).key_of(URL) == leaf.key.public_key()
    assert asked == [URL, ISSUER_URL]


@pytest.mark.parametrize("place", ["http://evil.example/r2m01.cer", "http://amazontrust.com.evil.example/x", ""])
async def test_no_other_host_is_asked_for_an_issuer(root: Signed, between: Signed, place: str) -> None:
    leaf = make_certificate("sns.amazonaws.com", between, issuer_url=place)
    asked: list[str] = []
    with pytest.raises(InvalidSignature, match="cannot be trusted"):
        await certificates(root, {URL: leaf.pem}, asked).key_of(URL)
    assert asked == [URL]


async def test_an_issuer_that_did_not_sign_is_of_no_use(root: Signed, between: Signed) -> None:
    forger = make_certificate("Amazon RSA 2048 M01", make_certificate("x", None, is_authority=True), is_authority=True)
    leaf = make_certificate("sns.amazonaws.com", forger, issuer_url=ISSUER_URL)
    files = {URL: leaf.pem, ISSUER_URL: between.certificate.public_bytes(Encoding.DER)}
    with pytest.raises(InvalidSignature, match="cannot be trusted"):
        await certificates(root, files, []).key_of(URL)


async def test_a_key_is_not_believed_beyond_its_certificate(root: Signed) -> None:
    leaf = make_certificate("sns.amazonaws.com", root, valid_days=10)
    now = datetime.now(UTC)
    asked: list[str] = []
    known = certificates(root, {URL: leaf.pem}, asked, lambda: now)
    await known.key_of(URL)
    now += timedelta(days=9)
    await known.key_of(URL)
    assert asked == [URL]
    now += timedelta(days=2)
    with pytest.raises(InvalidSignature, match="cannot be trusted"):
        await known.key_of(URL)


async def test_messages_that_come_at_once_fetch_a_certificate_once(root: Signed) -> None:
    leaf = make_certificate("sns.amazonaws.com", root)
    asked: list[str] = []
    known = certificates(root, {URL: leaf.pem}, asked)
    keys = await asyncio.gather(*[known.key_of(URL) for _ in range(20)])
    assert all(key == leaf.key.public_key() for key in keys)
    assert asked == [URL]


async def test_a_host_that_cannot_be_reached_is_no_proof_of_anything(root: Signed) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(fail))
    with pytest.raises(SourceUnavailable):
        await Certificates(PinnedHosts(), [root.certificate], http).key_of(URL)


def test_the_public_authorities_are_trusted_where_no_file_is_named() -> None:
    names = {one.subject.rfc4514_string() for one in read_trusted("")}
    assert "CN=Amazon Root CA 1,O=Amazon,C=US" in names


@pytest.mark.parametrize("text", [None, b"", b"no certificate"])
def test_a_file_without_certificates_keeps_the_process_from_starting(tmp_path: object, text: bytes | None) -> None:
    file = f"{tmp_path}/ca.pem"
    if text is not None:
        with open(file, "wb") as opened:
            opened.write(text)
    with pytest.raises(StartError, match="PENSTOCK_SNS__CA_FILE"):
        read_trusted(file)
