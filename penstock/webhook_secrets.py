"""The secrets that sign deliveries, in the form of Standard Webhooks."""

import secrets
from base64 import b64encode

_RANDOM_BYTES = 32


def new_secret() -> str:
    """`whsec_` and the base64 of random bytes."""
    return f"whsec_{b64encode(secrets.token_bytes(_RANDOM_BYTES)).decode()}"
