"""Signatures of deliveries, looked at with the receivers' library."""

import json
import time
from base64 import b64decode
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from consumers.webhooks.signing import signed_headers
from penstock.webhook_secrets import new_secret

ID = "0192e1a4-7c6f-7000-8000-1b2c3d4e5f60"
BODY = '{"type":"order.paid","data":{"name":"Zoë","total":12.5}}'
OLD, NEW = new_secret(), new_secret()


def headers_of(*secrets: str, webhook_id: str = ID, body: str = BODY, age_s: int = 0) -> dict[str, str]:
    return signed_headers(secrets, webhook_id, int(time.time()) - age_s, body.encode())


def is_genuine(secret: str, headers: Mapping[str, str], body: str = BODY) -> bool:
    """Receivers' libraries want JSON; ours is."""
    try:
        Webhook(secret).verify(body, dict(headers))
    except WebhookVerificationError:
        return False
    return True


def test_a_receiver_verifies_it() -> None:
    headers = headers_of(NEW)
    assert is_genuine(NEW, headers)
    assert headers["webhook-id"] == ID
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_the_signature_is_the_one_of_the_specification() -> None:
    """Its own example."""
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_secret_is_changed_both_verify() -> None:
    headers = headers_of(NEW, OLD)
    assert is_genuine(NEW, headers)
    assert is_genuine(OLD, headers)
    assert not is_genuine(new_secret(), headers)
    assert headers["webhook-signature"].split(" ") == [
        signed_headers([one], ID, int(headers["webhook-timestamp"]), BODY.encode())["webhook-signature"]
        for one in (NEW, OLD)
    ]


def test_a_secret_that_does_not_sign_any_more_does_not_verify() -> None:
    assert not is_genuine(OLD, headers_of(NEW))


@pytest.mark.parametrize("body", [BODY + " ", BODY.replace("12.5", "12.6"), BODY.replace("ë", "e"), "{}", ""])
def test_another_body_is_not_genuine(body: str) -> None:
    assert not is_genuine(NEW, headers_of(NEW), body)


def test_another_id_is_not_genuine() -> None:
    assert not is_genuine(NEW, headers_of(NEW) | {"webhook-id": ID[:-1] + "1"})


@pytest.mark.parametrize("seconds", [-1, 1, 60])
def test_another_time_is_not_genuine(seconds: int) -> None:
    headers = headers_of(NEW)
    other = str(int(headers["webhook-timestamp"]) + seconds)
    assert not is_genuine(NEW, headers | {"webhook-timestamp": other})


def test_an_old_delivery_that_is_sent_again_is_not_believed() -> None:
    assert not is_genuine(NEW, headers_of(NEW, age_s=3600))


@given(st.binary(max_size=300))
def test_any_bytes_are_signed(body: bytes) -> None:
    """The receivers' library takes text only."""
    headers = signed_headers([NEW], ID, 1614265330, body)
    assert headers["webhook-signature"].startswith("v1,")
    assert len(b64decode(headers["webhook-signature"].removeprefix("v1,"), validate=True)) == 32
    assert headers == signed_headers([NEW], ID, 1614265330, body)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_any_text_verifies(data: dict[str, str]) -> None:
    body = json.dumps(data, ensure_ascii=False).encode(errors="replace").decode()
    assert is_genuine(NEW, headers_of(NEW, body=body), body)


def test_no_two_secrets_are_the_same_and_each_has_256_bits() -> None:
    found = {new_secret() for _ in range(100)}
    assert len(found) == 100
    for one in found:
        assert len(b64decode(one.removeprefix("whsec_"), validate=True)) == 32
        assert is_genuine(one, headers_of(one))


def test_without_a_secret_nothing_is_signed() -> None:
    assert headers_of()["webhook-signature"] == ""
