"""Which names are reserved: the table of the contract."""

import pytest

from schemas.names import is_reserved


@pytest.mark.parametrize(
    "name",
    ["email.", "email.sent", "email.x.y", "contact.subscribed", "contact.unsubscribed", "segment.vip.entry",
     "segment.vip.exit", "segment.a.b.entry", "segment.entry", "segment..exit"],
)  # fmt: skip
def test_reserved(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name",
    ["contact.created", "segment.created", "emails.sent", "Email.sent", "email", "contact.subscribed.x", " email.sent",
     "segment.vip", "segment.vip.ENTRY", "segment", "segment.vipentry", "vip.segment.x.entry", "xsegment.a.entry", ""],
)  # fmt: skip
def test_free(name: str) -> None:
    assert not is_reserved(name)
