"""Which event names are the product's own, so that no caller can send them or delete them."""

_RESERVED = frozenset({"contact.subscribed", "contact.unsubscribed"})


def is_reserved(name: str) -> bool:
    """Whether only the product itself makes events of this name. Case counts: `Email.sent` is free."""
    if name.startswith("segment."):
        return name.endswith((".entry", ".exit"))
    return name.startswith("email.") or name in _RESERVED
