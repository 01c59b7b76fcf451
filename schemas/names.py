"""Event names: how long they are, and which are the product's own, so that no caller can send or delete them."""

MAX_NAME = 255
"""Characters of an event's name."""

MAIL_EVENTS = (
    "email.sent",
    "email.delivery",
    "email.open",
    "email.click",
    "email.bounce",
    "email.complaint",
    "email.received",
)
"""What mail systems report."""

_RESERVED = frozenset({"contact.subscribed", "contact.unsubscribed"})


def is_reserved(name: str) -> bool:
    """Whether only the product itself makes events of this name. Case counts: `Email.sent` is free."""
    if name.startswith("segment."):
        return name.endswith((".entry", ".exit"))
    return name.startswith("email.") or name in _RESERVED
