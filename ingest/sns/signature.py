"""Whether SNS signed a message."""

import base64
import binascii

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from ingest.sns.certificates import Certificates
from ingest.sns.message import SnsMessage, canonical
from penstock.errors import InvalidSignature

_DIGESTS: dict[str, type[HashAlgorithm]] = {"1": SHA1, "2": SHA256}
"""By `SignatureVersion`. The first is what topics have unless they are told otherwise."""


async def verify(message: SnsMessage, certificates: Certificates) -> None:
    """Makes sure that a message is SNS's.

    Raises:
        InvalidSignature: it is not.
        SourceUnavailable: that cannot be told now.
    """
    digest = _DIGESTS.get(message.signature_version)
    if digest is None:
        raise InvalidSignature(f"SignatureVersion {message.signature_version!r} is not known")
    try:
        signature = base64.b64decode(message.signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidSignature("The signature is not Base64") from error
    key = await certificates.key_of(message.certificate_url)
    try:
        key.verify(signature, canonical(message), PKCS1v15(), digest())
    except WrongSignature as error:
        raise InvalidSignature("The signature does not match the message") from error
