r"""Halves of surrogate pairs in the escapes of JSON (`\ud83d`): what is left of an emoji through which a text was cut.

They are JSON by its grammar, but no text, and the decoder refuses a whole body for one of them. In a batch that is the
matter of one item: masked, they let all the others be read.
"""

import re
import secrets

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_POSSIBLE = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF = rb"\ud800"


def has_half(text: bytes) -> bool:
    """Whether there is one in the JSON text."""
    return bool(_POSSIBLE.search(text)) and any(escape["half"] for escape in _ESCAPE.finditer(text))


def masked(text: bytes) -> tuple[bytes, bytes]:
    """The text with another one of the same length in place of each half, and that text."""
    mask = secrets.token_hex(3).encode()
    while mask in text:
        mask = secrets.token_hex(3).encode()
    return _ESCAPE.sub(lambda escape: mask if escape["half"] else escape[0], text), mask


def unmasked(text: bytes, mask: bytes) -> bytes:
    """The text with a half, whichever, in place of each mask."""
    return text.replace(mask, _HALF)
