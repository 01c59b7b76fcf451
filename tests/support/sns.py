"""An SNS of the tests' own: a certificate authority, a host that has certificates, and signed messages."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

ARN = "arn:aws:sns:eu-west-1:123456789012:mail-events"

_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_DIGESTS = {"1": SHA1, "2": SHA256}


@dataclass(frozen=True)
class Signed:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def make_certificate(
    name: str, issuer: Signed | None, *, is_authority: bool = False, valid_days: int = 30, issuer_url: str = ""
) -> Signed:
    """A certificate from 90 days ago, which its issuer signed, or itself; with negative days it is over.

    Args:
        issuer_url: where it says that its issuer's certificate is.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now + timedelta(days=valid_days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if issuer_url:
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    return Signed(builder.sign(issuer.key if issuer else key, SHA256()), key)


@dataclass
class SnsHost:
    """A host of the tests' SNS.

    Attributes:
        files: what it answers, by path; others are 404.
        asked: the paths that were asked for.
        status: of what it has.
    """

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 200

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.name}{path}"


@contextmanager
def serving_host() -> Iterator[SnsHost]:
    """A host that answers until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            host.asked.append(self.path)
            body = host.files.get(path)
            self.send_response(404 if body is None else host.status)
            if host.status == 302:
                self.send_header("Location", host.url("/elsewhere"))
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host = SnsHost(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class FakeSns:
    """Signs messages with a certificate that stands at its host."""

    host: SnsHost
    root: Signed
    signer: Signed
    path: str = "/signer.pem"

    def message(self, message: Any, *, version: str = "1", **members: Any) -> dict[str, Any]:
        """A signed message; `members` come before it is signed, None for one that is missing."""
        text = message if isinstance(message, str) else json.dumps(message)
        made = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": ARN,
            "Message": text,
            "Timestamp": "2026-11-23T06:59:59.500Z",
            "SignatureVersion": version,
            "SigningCertURL": self.host.url(self.path),
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
            **members,
        }
        made = {name: value for name, value in made.items() if value is not None}
        return {**made, "Signature": self.sign(made, version)}

    def confirmation(self, **members: Any) -> dict[str, Any]:
        """A request to confirm a subscription."""
        more = {
            "Type": "SubscriptionConfirmation",
            "Token": "2336412f37",
            "SubscribeURL": self.host.url("/confirm?Action=ConfirmSubscription&Token=2336412f37"),
            **members,
        }
        return self.message("You have chosen to subscribe to the topic.", **more)

    def sign(self, members: dict[str, Any], version: str) -> str:
        names = _NOTIFICATION if members["Type"] == "Notification" else _CONFIRMATION
        text = "".join(f"{name}\n{members[name]}\n" for name in names if name in members)
        digest = _DIGESTS.get(version, SHA256)
        return base64.b64encode(self.signer.key.sign(text.encode(), PKCS1v15(), digest())).decode()


def mail(**members: Any) -> dict[str, Any]:
    """The member `mail` of what SES publishes."""
    return {
        "timestamp": "2026-11-23T06:50:00.000Z",
        "source": "shop@example.net",
        "messageId": "0100017f-mail",
        "destination": ["ada@example.com"],
        "commonHeaders": {"from": ["Shop <shop@example.net>"], "to": ["ada@example.com"], "subject": "Your order"},
        **members,
    }
