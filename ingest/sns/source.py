"""SNS as the hook sees it: what it said for sure, and the answer that it waits for."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import httpx

from ingest.sns.certificates import Certificates, read_trusted
from ingest.sns.hosts import PinnedHosts
from ingest.sns.message import SnsMessage
from ingest.sns.signature import verify
from penstock.errors import SourceUnavailable
from penstock.settings import Sns

_CONFIRM_SECONDS = 10


class SnsSource:
    """See the module. Belongs to the event loop."""

    def __init__(self, hosts: PinnedHosts, certificates: Certificates, http: httpx.AsyncClient) -> None:
        self._hosts = hosts
        self._certificates = certificates
        self._http = http

    async def verify(self, message: SnsMessage) -> None:
        """Makes sure that a message is SNS's; see `ingest.sns.signature.verify`."""
        await verify(message, self._certificates)

    async def confirm(self, message: SnsMessage) -> None:
        """Tells SNS that the subscription which a (verified) message speaks of is wanted.

        Raises:
            InvalidSignature: the message has no URL of SNS for that.
            SourceUnavailable: SNS did not take it.
        """
        url = message.subscribe_url or ""
        self._hosts.expect(url, "SubscribeURL")
        try:
            answer = await self._http.get(url, timeout=_CONFIRM_SECONDS, follow_redirects=False)
        except httpx.HTTPError as error:
            raise SourceUnavailable(
                f"The subscription cannot be confirmed: {error!r}", retry_after_seconds=5
            ) from error
        if not answer.is_success:
            raise SourceUnavailable(
                f"The subscription cannot be confirmed: its host answers {answer.status_code}", retry_after_seconds=5
            )


@cache
def _public_authorities() -> ssl.SSLContext:
    """Of the hosts that are asked; to read them takes longer than all else at the start."""
    return httpx.create_ssl_context(trust_env=False)


def make_source(settings: Sns, http: httpx.AsyncClient) -> SnsSource:
    """The source that the settings tell of.

    Raises:
        StartError: the CA file cannot be read.
    """
    hosts = PinnedHosts(settings.certificate_hosts)
    return SnsSource(hosts, Certificates(hosts, read_trusted(settings.ca_file), http), http)


@asynccontextmanager
async def sns_source(settings: Sns) -> AsyncIterator[SnsSource]:
    """The same, with connections of its own. Raises the same."""
    async with httpx.AsyncClient(verify=_public_authorities(), trust_env=False) as http:
        yield make_source(settings, http)
