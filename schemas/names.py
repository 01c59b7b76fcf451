"""Event names: how long they are, and which are the product's own, so that no caller can send or delete them."""

from typing import Literal, get_args

from schemas.membership import is_segment_event

MAX_NAME = 255
"""Characters of an event's name."""

MAX_REFERENCE = 998
"""Characters of an id that another system gave: a Message-ID is within one line of a mail's head (RFC 5322, 2.1.1)."""

MAX_REASON = 255
"""Characters of why a subscription changed."""

MailEvent = Literal[
    "email.sent",
    "email.delivery",
    "email.open",
    "email.click",
    "email.bounce",
    "email.complaint",
    "email.received",
]
"""What mail systems report."""

MAIL_EVENTS: tuple[MailEvent, ...] = get_args(MailEvent)

SUBSCRIBED = "contact.subscribed"
UNSUBSCRIBED = "contact.unsubscribed"


def is_reserved(name: str) -> bool:
    """Whether only the product itself makes events of this name. Case counts: `Email.sent` is free."""
    return is_segment_event(name) or name.startswith("email.") or name in (SUBSCRIBED, UNSUBSCRIBED)
