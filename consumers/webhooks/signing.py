"""Signatures of deliveries, as Standard Webhooks has them: HMAC-SHA256 over the id, the time and the body. Pure."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

_PREFIX = "whsec_"


@lru_cache(maxsize=4096)
def _key(secret: str) -> bytes:
    return b64decode(secret.removeprefix(_PREFIX))


def signed_headers(secrets: Sequence[str], webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver tells that a delivery is genuine, and one from another.

    Args:
        secrets: all that sign, newest first.
        timestamp_s: of the attempt, seconds since 1970.
    """
    signed = b"%b.%d.%b" % (webhook_id.encode(), timestamp_s, body)
    signatures = [b64encode(hmac.digest(_key(secret), signed, sha256)).decode() for secret in secrets]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
