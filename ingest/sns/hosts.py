"""The hosts that SNS itself has, and the further ones that the settings name. Pure: no I/O."""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from penstock.errors import InvalidSignature

_SNS = re.compile(r"sns\.[a-z0-9-]{1,32}\.amazonaws\.com(?:\.cn)?")
_HTTPS_PORT = 443


class PinnedHosts:
    """See the module.

    Args:
        further: `host`, or `host:port`; these may also be asked without TLS.
    """

    def __init__(self, further: Collection[str] = ()) -> None:
        self._further = frozenset(name.lower() for name in further)

    def expect(self, url: str, member: str) -> None:
        """Makes sure that a URL of a message leads to one of the hosts.

        Raises:
            InvalidSignature: it leads elsewhere.
        """
        if not self._has(url):
            raise InvalidSignature(f"The {member} does not lead to SNS")

    def _has(self, url: str) -> bool:
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            return False
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        host = parts.hostname or ""
        if "@" in parts.netloc:
            return False
        if _SNS.fullmatch(host):
            return parts.scheme == "https" and port in (None, _HTTPS_PORT)
        return parts.scheme in ("http", "https") and self._is_further(host, parts)

    def _is_further(self, host: str, parts: SplitResult) -> bool:
        return host in self._further or parts.netloc.lower() in self._further
