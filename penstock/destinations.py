"""Where webhooks may go: to addresses of the public internet, and to the networks that the settings allow. Pure.

The address of each connection is looked at when it is made: what a name resolves to may be another one each time, and
an address has many spellings. A URL is looked at when it is registered, for whether it is one.
"""

from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

MAX_URL = 2048

_SCHEMES = {"http": 80, "https": 443}

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Forms of IPv6 that hold an IPv4 address: where a packet to one may be forwarded, it goes to the other.
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)

_NEVER_GLOBAL = (
    IPv6Network("fec0::/10"),
    IPv6Network("100::/64"),
    IPv6Network("5f00::/16"),
    IPv6Network("3fff::/20"),
    IPv4Network("168.63.129.16/32"),  # Azure's own services, in every machine there
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
)


class Destinations:
    """See the module.

    Args:
        allowed: networks that may be reached although they are not public.
        ports: the only ports that may be reached; empty for any.
    """

    def __init__(self, allowed: Sequence[Network] = (), ports: Collection[int] = ()) -> None:
        self._allowed = tuple(allowed)
        self._ports = frozenset(ports)

    def check_url(self, url: str) -> str | None:
        """What is wrong with the URL of an endpoint; None for nothing."""
        if len(url) > MAX_URL:
            return f"Must have at most {MAX_URL} characters"
        if not url.isprintable() or " " in url:
            return "Must not have blanks or control characters: percent-encode them"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "Not a URL (https://example.com/hooks)"
        return self._check_parts(parts, port)

    def _check_parts(self, parts: SplitResult, port: int | None) -> str | None:
        if parts.scheme not in _SCHEMES:
            return "Must begin with https:// or http://"
        if not parts.hostname:
            return "Must have a host (https://example.com/hooks)"
        if "@" in parts.netloc:
            return "Must not have a user name or a password: use headers"
        if "#" in parts.geturl():
            return "Must not have a fragment (#…)"
        if self._ports and (_SCHEMES[parts.scheme] if port is None else port) not in self._ports:
            return f"Must have one of the ports {', '.join(map(str, sorted(self._ports)))}"
        return None if _is_name(parts.hostname) else "The host is no name of the internet"

    def refusal(self, address: str) -> str | None:
        """Why an address may not be connected to; None where it may."""
        try:
            known = ip_address(address.partition("%")[0])
        except ValueError:
            return f"{address} is no internet address"
        if self._is_allowed(known):
            return None
        if "%" in address or not all(_is_public(one) for one in _meanings(known)):
            return f"The address {address} is not on the public internet"
        return None

    def _is_allowed(self, address: Address) -> bool:
        """Whether a network that is allowed has it; one that holds another goes where that one is."""
        return all(any(_has(network, one) for network in self._allowed) for one in _targets(address))


def _has(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network


def _is_name(host: str) -> bool:
    try:
        host.encode("ascii" if host.isascii() else "idna")
    except UnicodeError:
        return False
    return True


def _meanings(address: Address) -> Iterator[Address]:
    """All addresses that one may lead to."""
    yield address
    if isinstance(address, IPv6Address):
        yield from _embedded(address)


def _targets(address: Address) -> Iterator[Address]:
    """Where it leads: to what it holds, if it holds one, else to itself."""
    held = list(_embedded(address)) if isinstance(address, IPv6Address) else []
    yield from held
    if not held:
        yield address


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    number = int(address)
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and number > 1):
        yield IPv4Address(number & 0xFFFFFFFF)
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(number & 0xFFFFFFFF)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address in _NAT64[0]):
        return True  # as public as what it holds, which is looked at as well
    if any(_has(network, address) for network in _NEVER_GLOBAL):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
