"""Where webhooks may go."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest

from penstock.destinations import MAX_URL, Destinations

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2A00:1450:4001:0800::200E",
    "::ffff:8.8.8.8",
    "::ffff:808:808",
    "64:ff9b::808:808",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2606:4700::5efe:808:808",
    "2606:4700::200:5efe:808:808",
]

NOT_PUBLIC_4 = [
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",  # a cloud's metadata
    "100.127.255.255",
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",  # most clouds' metadata
    "169.254.170.2",
    "172.16.0.1",
    "172.17.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.0.192",  # a cloud's metadata
    "192.0.0.255",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "233.252.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
]

NOT_PUBLIC_6 = [
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::2",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2001:db8:ffff::",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",  # a cloud's metadata
    "fd20:ce::254",  # another's
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf:ffff::1",
    "fec0::1",
    "feff::1",
    "ff00::1",
    "ff02::1",
    "ff0e::1",
    "64:ff9b:1::808:808",
    "::ffff:0:8.8.8.8",
    "::808:808",
]

INNER = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"]

# Forms of IPv6 that hold an IPv4 address: what stands in front of it in the last 32 bits.
IN_FRONT = {
    "mapped": "::ffff:0:0",
    "compatible": "::",
    "translated": "::ffff:0:0:0",
    "NAT64": "64:ff9b::",
    "local NAT64": "64:ff9b:1::",
    "ISATAP": "2606:4700::5efe:0:0",
    "ISATAP, link-local": "fe80::5efe:0:0",
    "ISATAP, universal": "2606:4700::200:5efe:0:0",
    "ISATAP within 6to4": "2002:808:808::5efe:0:0",
}


def in_front(form: str, inner: str) -> str:
    return str(IPv6Address(int(IPv6Address(IN_FRONT[form])) | int(IPv4Address(inner))))


def six_to_four(inner: str) -> str:
    return str(IPv6Address(0x2002 << 112 | int(IPv4Address(inner)) << 80 | 1))


def teredo(server: str, client: str) -> str:
    """It holds the address of the server, and the one of the client with each bit turned."""
    held = int(IPv4Address(server)) << 64 | (int(IPv4Address(client)) ^ 0xFFFFFFFF)
    return str(IPv6Address(0x20010000 << 96 | held))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_reached(address: str) -> None:
    assert Destinations().refusal(address) is None


@pytest.mark.parametrize("address", NOT_PUBLIC_4 + NOT_PUBLIC_6)
def test_no_other_address_may_be_reached(address: str) -> None:
    assert Destinations().refusal(address) == f"The address {address} is not on the public internet"


@pytest.mark.parametrize("form", IN_FRONT)
@pytest.mark.parametrize("inner", INNER)
def test_an_address_that_holds_one_that_is_not_public_is_not_public_either(form: str, inner: str) -> None:
    assert Destinations().refusal(in_front(form, inner)) is not None


@pytest.mark.parametrize("inner", INNER)
def test_6to4_and_teredo_are_no_way_around_either(inner: str) -> None:
    assert Destinations().refusal(six_to_four(inner)) is not None
    assert Destinations().refusal(teredo(inner, "8.8.8.8")) is not None
    assert Destinations().refusal(teredo("8.8.8.8", inner)) is not None


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fe80::1%1", "::1%lo", "2606:4700::1111%eth0", "::1%8.8.8.8"])
def test_an_address_of_one_interface_is_not_public(address: str) -> None:
    assert Destinations().refusal(address) is not None


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        " ",
        "%",
        "%eth0",
        "example.com",
        "localhost",
        "8.8.8",
        "8.8.8.8.8",
        "8.8.8.256",
        "08.8.8.8",
        " 8.8.8.8",
        "8.8.8.8\n",
        "8.8.8.8:80",
        "8.8.8.8/32",
        "134744072",
        "0x8080808",
        "0x8.8.8.8",
        "８.８.８.８",
        "[2606:4700::1111]",
        "2606:4700:::1111",
        "2606:4700::1111::",
        "::ffff:8.8.8.8.8",
    ],
)
def test_what_is_no_address_is_refused(garbage: str) -> None:
    everything = Destinations([ip_network("0.0.0.0/0"), ip_network("::/0")])
    for destinations in (Destinations(), everything):
        assert destinations.refusal(garbage) == f"{garbage} is no internet address"


@pytest.mark.parametrize(
    ("network", "address", "is_reached"),
    [
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.0/8", "127.255.255.255", True),
        ("127.0.0.0/8", "126.0.0.1", True),  # public
        ("127.0.0.0/8", "10.0.0.1", False),
        ("127.0.0.1/32", "127.0.0.2", False),
        ("10.1.0.0/16", "10.1.255.255", True),
        ("10.1.0.0/16", "10.2.0.0", False),
        ("::1/128", "::1", True),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "fc12::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("fe80::/10", "::1%lo", False),
        # One version says nothing of the other.
        ("0.0.0.0/0", "::1", False),
        ("0.0.0.0/0", "fd00::1", False),
        ("::/0", "127.0.0.1", False),
        ("::/0", "10.0.0.1", False),
        # What holds another address goes where that one is.
        ("127.0.0.0/8", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8", "::7f00:1", True),
        ("127.0.0.0/8", "64:ff9b::7f00:1", True),
        ("127.0.0.0/8", "2002:7f00:1::1", True),
        ("127.0.0.0/8", "::ffff:10.0.0.1", False),
        ("127.0.0.0/8", "64:ff9b::a00:1", False),
        ("10.0.0.0/8", "2606:4700::5efe:a00:1", True),
        ("10.0.0.0/8", "2606:4700::5efe:7f00:1", False),
        ("10.0.0.0/8", "2002:a00:1::5efe:7f00:1", False),  # holds two
        ("::ffff:0:0/96", "::ffff:127.0.0.1", False),
        ("64:ff9b::/96", "64:ff9b::7f00:1", False),
        ("2002::/16", "2002:a00:1::1", False),
        ("::/0", "::ffff:10.0.0.1", False),
    ],
)
def test_a_network_that_is_allowed_is_an_exception_and_nothing_else_is(
    network: str, address: str, is_reached: bool
) -> None:
    assert (Destinations([ip_network(network)]).refusal(address) is None) is is_reached


def test_teredo_goes_to_its_server_and_to_its_client_so_both_must_be_allowed() -> None:
    allowed = [ip_network("10.0.0.0/8"), ip_network("192.168.0.0/16")]
    assert Destinations(allowed).refusal(teredo("10.0.0.1", "192.168.0.1")) is None
    assert Destinations(allowed[:1]).refusal(teredo("10.0.0.1", "192.168.0.1")) is not None
    assert Destinations(allowed[1:]).refusal(teredo("10.0.0.1", "192.168.0.1")) is not None


def test_several_networks_may_be_allowed_and_public_addresses_stay_so() -> None:
    destinations = Destinations([ip_network("127.0.0.0/8"), ip_network("fd00::/8")])
    assert [destinations.refusal(one) for one in ("127.0.0.1", "fd00::1", "8.8.8.8", "2606:4700::1111")] == [None] * 4
    assert destinations.refusal("169.254.169.254") is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hooks",
        "http://example.com/",
        "HTTPS://EXAMPLE.com/Hooks?a=1&b=%20",
        "https://example.com:8443/hooks",
        "https://example.com.:443/",
        "https://münchen.example/straße",
        "https://xn--mnchen-3ya.example/",
        "https://a_b.example/",
        "https://[2606:4700::1111]:8443/",
        "https://example.com/@user/%23",
    ],
)
def test_urls_of_endpoints(url: str) -> None:
    assert Destinations().check_url(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://10.0.0.1:9200/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://localhost/",
    ],
)
def test_an_address_is_not_looked_at_before_the_socket_is_made(url: str) -> None:
    assert Destinations().check_url(url) is None


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "Must begin with https:// or http://"),
        ("example.com/hooks", "Must begin with https:// or http://"),
        ("//example.com/hooks", "Must begin with https:// or http://"),
        ("/hooks", "Must begin with https:// or http://"),
        ("ftp://example.com/", "Must begin with https:// or http://"),
        ("file:///etc/passwd", "Must begin with https:// or http://"),
        ("gopher://example.com/", "Must begin with https:// or http://"),
        ("ws://example.com/", "Must begin with https:// or http://"),
        ("javascript:alert(1)", "Must begin with https:// or http://"),
        ("https://", "Must have a host (https://example.com/hooks)"),
        ("https:///hooks", "Must have a host (https://example.com/hooks)"),
        ("https://:443/", "Must have a host (https://example.com/hooks)"),
        ("https://?a=b", "Must have a host (https://example.com/hooks)"),
        ("https:/example.com/", "Must have a host (https://example.com/hooks)"),
        ("https:example.com", "Must have a host (https://example.com/hooks)"),
        ("https://example.com:70000/", "Not a URL (https://example.com/hooks)"),
        ("https://example.com:-1/", "Not a URL (https://example.com/hooks)"),
        ("https://example.com:https/", "Not a URL (https://example.com/hooks)"),
        ("https://example.com:443:443/", "Not a URL (https://example.com/hooks)"),
        ("https://[::1/", "Not a URL (https://example.com/hooks)"),
        ("https://[example.com]/", "Not a URL (https://example.com/hooks)"),
        ("https://user@example.com/", "Must not have a user name or a password: use headers"),
        ("https://user:password@example.com/", "Must not have a user name or a password: use headers"),
        ("https://:@example.com/", "Must not have a user name or a password: use headers"),
        ("https://example.com\\@127.0.0.1/", "Must not have a user name or a password: use headers"),
        ("https://example.com/#there", "Must not have a fragment (#…)"),
        ("https://example.com#there", "Must not have a fragment (#…)"),
        ("https://exam ple.com/", "Must not have blanks or control characters: percent-encode them"),
        (" https://example.com/", "Must not have blanks or control characters: percent-encode them"),
        ("https://example.com/a b", "Must not have blanks or control characters: percent-encode them"),
        ("https://example.com/\n", "Must not have blanks or control characters: percent-encode them"),
        ("https://example.com/\r\nHost: other", "Must not have blanks or control characters: percent-encode them"),
        ("ht\ttps://example.com/", "Must not have blanks or control characters: percent-encode them"),
        ("https://example.com/\x00", "Must not have blanks or control characters: percent-encode them"),
        ("https://example.com/\u200b", "Must not have blanks or control characters: percent-encode them"),
        ("https://example.com/\ud800", "Must not have blanks or control characters: percent-encode them"),
        ("https://ä..example/", "The host is no name of the internet"),
        (f"https://{'ä' * 64}.example/", "The host is no name of the internet"),
    ],
)
def test_what_is_no_url_of_an_endpoint(url: str, complaint: str) -> None:
    assert Destinations().check_url(url) == complaint


def test_a_url_has_a_longest_length() -> None:
    start = "https://example.com/"
    assert Destinations().check_url(start + "a" * (MAX_URL - len(start))) is None
    assert Destinations().check_url(start + "a" * (MAX_URL - len(start) + 1)) == "Must have at most 2048 characters"


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        ("https://example.com/", True),
        ("https://example.com:/", True),
        ("https://example.com:443/", True),
        ("http://example.com:443/", True),
        ("https://example.com:8443/", True),
        ("http://example.com:8443/", True),
        ("http://example.com/", False),
        ("http://example.com:80/", False),
        ("https://example.com:80/", False),
        ("https://example.com:22/", False),
        ("https://example.com:4430/", False),
        ("https://example.com:0/", False),
        ("https://[::1]:22/", False),
    ],
)
def test_ports_may_be_limited(url: str, is_fine: bool) -> None:
    complaint = Destinations(ports=[8443, 443]).check_url(url)
    assert complaint == (None if is_fine else "Must have one of the ports 443, 8443")


def test_any_port_is_fine_where_they_are_not_limited() -> None:
    assert [Destinations().check_url(f"http://example.com:{port}/") for port in (1, 80, 6379, 65535)] == [None] * 4
