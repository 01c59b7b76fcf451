"""`POST /webhooks/sns`: each sentence of the contract about it has a test named after it."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.settings import Sns
from schemas.control import SnsTopic
from schemas.event import Event
from schemas.position import from_token
from schemas.wire import SnsRequest
from tests.support.limits import at_most
from tests.support.logs import commits_blocked
from tests.support.requests import NOW, Api, error_of, problems_of, serving
from tests.support.sns import ARN, FakeSns, Signed, mail, make_certificate, serving_host

pytestmark = pytest.mark.anyio

PATH = "/webhooks/sns"
DELIVERY = {
    "eventType": "Delivery",
    "mail": mail(),
    "delivery": {"timestamp": "2026-11-23T06:51:00.000Z", "recipients": ["ada@example.com"]},
}
BASE = {"subject": "Your order", "from": "Shop <shop@example.net>", "messageId": "0100017f-mail"}


@pytest.fixture(scope="module")
def authority() -> Signed:
    return make_certificate("Test Root", None, is_authority=True)


@pytest.fixture(scope="module")
def signer(authority: Signed) -> Signed:
    return make_certificate("sns.amazonaws.com", authority)


@pytest.fixture
def sns(authority: Signed, signer: Signed) -> Iterator[FakeSns]:
    with serving_host() as host:
        host.files |= {"/signer.pem": signer.pem, "/confirm": b"<ConfirmSubscriptionResponse/>"}
        yield FakeSns(host, authority, signer)


def settings_for(sns: FakeSns, directory: Path) -> Sns:
    file = directory / "authorities.pem"
    file.write_bytes(sns.root.pem)
    return Sns(certificate_hosts=[sns.host.name], ca_file=str(file))


def register(api: Api, arn: str = ARN) -> None:
    api.know(SnsTopic(arn, api.project.project.id, NOW))


@pytest.fixture
async def hook(tmp_path: Path, sns: FakeSns, anyio_backend: str) -> AsyncIterator[Api]:
    async with serving(tmp_path, sns=settings_for(sns, tmp_path)) as made:
        register(made)
        yield made


async def post(api: Api, message: Any) -> httpx.Response:
    """As SNS does: JSON as text, without a key."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return await api.client.post(PATH, content=body, headers={"Content-Type": "text/plain; charset=UTF-8"})


async def taken(api: Api, message: Any) -> list[Event]:
    """What is in the log after a message that must be taken."""
    response = await post(api, message)
    assert (response.status_code, response.json()) == (200, {"success": True})
    return api.stored()


# --- the signature -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("members", [{}, {"Subject": "Amazon SES Email Event Notification"}, {"Subject": "Ünï\ncode"}])
async def test_a_signed_message_is_taken(hook: Api, sns: FakeSns, version: str, members: dict[str, str]) -> None:
    message = sns.message(DELIVERY, version=version, **members)
    SnsRequest.model_validate(message)
    (event,) = await taken(hook, message)
    assert (event.name, event.email) == ("email.delivery", "ada@example.com")
    assert event.project_id == hook.project.project.id


@pytest.mark.parametrize("member", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn"])
@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_member_that_was_changed_is_noticed(hook: Api, sns: FakeSns, member: str, version: str) -> None:
    message = sns.message(DELIVERY, version=version, Subject="Hi")
    register(hook, ARN + "x")
    error_of(await post(hook, {**message, member: message[member] + "x"}), 403, "INVALID_SIGNATURE")
    assert hook.stored() == []


async def test_a_subject_that_was_added_or_left_out_is_noticed(hook: Api, sns: FakeSns) -> None:
    error_of(await post(hook, {**sns.message(DELIVERY), "Subject": "Hi"}), 403, "INVALID_SIGNATURE")
    without = {name: value for name, value in sns.message(DELIVERY, Subject="Hi").items() if name != "Subject"}
    error_of(await post(hook, without), 403, "INVALID_SIGNATURE")


@pytest.mark.parametrize("member", ["Token", "SubscribeURL"])
async def test_a_confirmation_that_was_changed_is_noticed(hook: Api, sns: FakeSns, member: str) -> None:
    message = sns.confirmation()
    error_of(await post(hook, {**message, member: message[member] + "x"}), 403, "INVALID_SIGNATURE")
    assert not [path for path in sns.host.asked if path.startswith("/confirm")]


@pytest.mark.parametrize(
    "change",
    [
        {"Signature": ""},
        {"Signature": "!"},
        {"Signature": base64.b64encode(b"x" * 256).decode()},
        {"SignatureVersion": "3"},
        {"SignatureVersion": "2"},
    ],
)
async def test_a_signature_that_is_none_is_refused(hook: Api, sns: FakeSns, change: dict[str, str]) -> None:
    error_of(await post(hook, {**sns.message(DELIVERY), **change}), 403, "INVALID_SIGNATURE")


async def test_a_signature_of_another_key_is_refused(hook: Api, sns: FakeSns, authority: Signed) -> None:
    forger = FakeSns(sns.host, authority, make_certificate("sns.amazonaws.com", authority))
    error_of(await post(hook, forger.message(DELIVERY)), 403, "INVALID_SIGNATURE")


# --- the certificate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.eu-west-1.amazonaws.com.evil.example/signer.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/signer.pem",
        "https://evil.example/?sns.eu-west-1.amazonaws.com",
        "https://sns.eu-west-1.amazonaws.com@127.0.0.1/signer.pem",
        "http://sns.eu-west-1.amazonaws.com/signer.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/signer.pem",
        "https://s3.eu-west-1.amazonaws.com/signer.pem",
        "https://sns.a.b.amazonaws.com/signer.pem",
        "https://127.0.0.1/signer.pem",
        "file:///etc/passwd",
        "",
    ],
)
async def test_the_certificates_host_is_pinned(hook: Api, sns: FakeSns, url: str) -> None:
    error_of(await post(hook, sns.message(DELIVERY, SigningCertURL=url)), 403, "INVALID_SIGNATURE")
    assert sns.host.asked == []


async def test_without_settings_only_amazons_hosts_are_asked(tmp_path: Path, sns: FakeSns) -> None:
    async with serving(tmp_path) as api:
        register(api)
        error_of(await post(api, sns.message(DELIVERY)), 403, "INVALID_SIGNATURE")
    assert sns.host.asked == []


async def test_a_certificate_of_another_authority_is_refused(hook: Api, sns: FakeSns) -> None:
    other = make_certificate("Test Root", None, is_authority=True)
    forger = FakeSns(sns.host, other, make_certificate("sns.amazonaws.com", other), "/forged.pem")
    sns.host.files["/forged.pem"] = forger.signer.pem + other.pem
    error_of(await post(hook, forger.message(DELIVERY)), 403, "INVALID_SIGNATURE")


async def test_a_certificate_that_signed_itself_is_refused(hook: Api, sns: FakeSns) -> None:
    forger = FakeSns(sns.host, sns.root, make_certificate("sns.amazonaws.com", None), "/forged.pem")
    sns.host.files["/forged.pem"] = forger.signer.pem
    error_of(await post(hook, forger.message(DELIVERY)), 403, "INVALID_SIGNATURE")


async def test_a_certificate_that_is_over_is_refused(hook: Api, sns: FakeSns, authority: Signed) -> None:
    old = FakeSns(sns.host, authority, make_certificate("sns.amazonaws.com", authority, valid_days=-1), "/old.pem")
    sns.host.files["/old.pem"] = old.signer.pem
    error_of(await post(hook, old.message(DELIVERY)), 403, "INVALID_SIGNATURE")


async def test_an_ordinary_certificate_issues_no_others(hook: Api, sns: FakeSns, signer: Signed) -> None:
    forger = FakeSns(sns.host, sns.root, make_certificate("sns.amazonaws.com", signer), "/forged.pem")
    sns.host.files["/forged.pem"] = forger.signer.pem + signer.pem
    error_of(await post(hook, forger.message(DELIVERY)), 403, "INVALID_SIGNATURE")


async def test_the_chain_may_have_certificates_between(hook: Api, sns: FakeSns, authority: Signed) -> None:
    between = make_certificate("Test Intermediate", authority, is_authority=True)
    chained = FakeSns(sns.host, authority, make_certificate("sns.amazonaws.com", between), "/chain.pem")
    sns.host.files["/chain.pem"] = chained.signer.pem + between.pem
    assert len(await taken(hook, chained.message(DELIVERY))) == 1


async def test_a_certificate_that_the_settings_name_itself_is_trusted(tmp_path: Path, sns: FakeSns) -> None:
    own = FakeSns(sns.host, make_certificate("localstack", None), make_certificate("x", None), "/own.pem")
    own = FakeSns(sns.host, own.root, own.root, "/own.pem")
    sns.host.files["/own.pem"] = own.root.pem
    async with serving(tmp_path, sns=settings_for(own, tmp_path)) as api:
        register(api)
        assert len(await taken(api, own.message(DELIVERY))) == 1


@pytest.mark.parametrize("file", [b"", b"no certificate", b"x" * 100_000])
async def test_what_is_no_certificate_is_refused(hook: Api, sns: FakeSns, file: bytes) -> None:
    sns.host.files["/signer.pem"] = file
    error_of(await post(hook, sns.message(DELIVERY)), 403, "INVALID_SIGNATURE")


async def test_a_certificate_is_fetched_once(hook: Api, sns: FakeSns) -> None:
    for number in range(3):
        await taken(hook, sns.message(DELIVERY, MessageId=f"m-{number}"))
    assert sns.host.asked == ["/signer.pem"]


async def test_a_refused_certificate_is_not_asked_for_again_at_once(hook: Api, sns: FakeSns) -> None:
    message = sns.message(DELIVERY, SigningCertURL=sns.host.url("/none.pem"))
    for _ in range(3):
        error_of(await post(hook, message), 403, "INVALID_SIGNATURE")
    assert sns.host.asked == ["/none.pem"]


async def test_redirects_are_not_followed(hook: Api, sns: FakeSns) -> None:
    sns.host.status = 302
    error_of(await post(hook, sns.message(DELIVERY)), 403, "INVALID_SIGNATURE")
    assert sns.host.asked == ["/signer.pem"]


async def test_a_host_that_fails_for_now_is_answered_503_and_asked_again(hook: Api, sns: FakeSns) -> None:
    sns.host.status = 500
    response = await post(hook, sns.message(DELIVERY))
    error_of(response, 503, "SERVICE_UNAVAILABLE")
    assert int(response.headers["retry-after"]) >= 1
    sns.host.status = 200
    assert len(await taken(hook, sns.message(DELIVERY))) == 1


# --- the topic -----------------------------------------------------------------------------------------------------------


async def test_a_topic_that_is_not_registered_is_refused(hook: Api, sns: FakeSns) -> None:
    for message in (sns.message(DELIVERY, TopicArn=ARN + "2"), sns.confirmation(TopicArn=ARN + "2")):
        error_of(await post(hook, message), 403, "TOPIC_NOT_REGISTERED")
    assert hook.stored() == []
    assert sns.host.asked == ["/signer.pem"]


async def test_events_go_to_the_project_of_the_topic(hook: Api, sns: FakeSns) -> None:
    other = hook.make_project()
    hook.know(SnsTopic(ARN + "2", other.project.id, NOW))
    (event,) = await taken(hook, sns.message(DELIVERY, TopicArn=ARN + "2"))
    assert event.project_id == other.project.id


async def test_a_topic_that_was_removed_is_refused(hook: Api, sns: FakeSns) -> None:
    hook.ring.apply(f"sns-topic/{ARN}", None)
    error_of(await post(hook, sns.message(DELIVERY)), 403, "TOPIC_NOT_REGISTERED")


async def test_a_disabled_project_takes_no_events(hook: Api, sns: FakeSns) -> None:
    project = hook.project.project
    hook.know(type(project)(project.id, project.name, project.created_at, enabled=False))
    error_of(await post(hook, sns.message(DELIVERY)), 403, "PROJECT_DISABLED")


async def test_the_projects_limit_counts_each_event(tmp_path: Path, sns: FakeSns) -> None:
    limits = at_most(events=3)
    async with serving(tmp_path, sns=settings_for(sns, tmp_path), limits=limits) as api:
        register(api)
        two = {"eventType": "Send", "mail": mail(destination=["a@example.com", "b@example.com"])}
        assert len(await taken(api, sns.message(two))) == 2
        error_of(await post(api, sns.message(two, MessageId="2")), 429, "RATE_LIMIT_EXCEEDED")
        assert len(await taken(api, sns.message(DELIVERY, MessageId="3"))) == 3


# --- subscriptions -------------------------------------------------------------------------------------------------------


async def test_a_subscription_is_confirmed(hook: Api, sns: FakeSns) -> None:
    assert await taken(hook, sns.confirmation()) == []
    assert sns.host.asked == ["/signer.pem", "/confirm?Action=ConfirmSubscription&Token=2336412f37"]


async def test_a_subscription_is_confirmed_at_a_pinned_host_only(hook: Api, sns: FakeSns) -> None:
    with serving_host() as other:
        other.files["/confirm"] = b""
        message = sns.confirmation(SubscribeURL=other.url("/confirm"))
        error_of(await post(hook, message), 403, "INVALID_SIGNATURE")
        assert other.asked == []


async def test_a_confirmation_that_fails_is_answered_503_so_that_sns_asks_again(hook: Api, sns: FakeSns) -> None:
    del sns.host.files["/confirm"]
    error_of(await post(hook, sns.confirmation()), 503, "SERVICE_UNAVAILABLE")


async def test_the_end_of_a_subscription_is_not_taken_back(hook: Api, sns: FakeSns) -> None:
    await taken(hook, sns.confirmation(Type="UnsubscribeConfirmation"))
    assert sns.host.asked == ["/signer.pem"]


# --- what SES publishes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "details", "moment", "told"),
    [
        ("Send", {"send": {}}, "2026-11-23T06:50:00.000Z", {"sentAt": "2026-11-23T06:50:00.000Z"}),
        (
            "Delivery",
            {"delivery": {"timestamp": "2026-11-23T06:51:00.000Z", "recipients": ["ada@example.com"]}},
            "2026-11-23T06:51:00.000Z",
            {"deliveredAt": "2026-11-23T06:51:00.000Z"},
        ),
        (
            "Open",
            {"open": {"timestamp": "2026-11-23T06:52:00.000Z", "userAgent": "x"}},
            "2026-11-23T06:52:00.000Z",
            {"openedAt": "2026-11-23T06:52:00.000Z"},
        ),
        (
            "Click",
            {"click": {"timestamp": "2026-11-23T06:53:00.000Z", "link": "https://example.net/ü"}},
            "2026-11-23T06:53:00.000Z",
            {"clickedAt": "2026-11-23T06:53:00.000Z", "link": "https://example.net/ü"},
        ),
        (
            "Bounce",
            {
                "bounce": {
                    "timestamp": "2026-11-23T06:54:00.000Z",
                    "bounceType": "Permanent",
                    "bounceSubType": "General",
                    "bouncedRecipients": [{"emailAddress": "ada@example.com", "status": "5.1.1"}],
                }
            },
            "2026-11-23T06:54:00.000Z",
            {
                "bouncedAt": "2026-11-23T06:54:00.000Z",
                "bounceType": "Permanent",
                "bounceSubType": "General",
                "transientBounce": False,
            },
        ),
        (
            "Complaint",
            {
                "complaint": {
                    "timestamp": "2026-11-23T06:55:00.000Z",
                    "complaintFeedbackType": "abuse",
                    "complainedRecipients": [{"emailAddress": "ada@example.com"}],
                }
            },
            "2026-11-23T06:55:00.000Z",
            {"complainedAt": "2026-11-23T06:55:00.000Z", "complaintFeedbackType": "abuse"},
        ),
    ],
)
@pytest.mark.parametrize("member", ["eventType", "notificationType"])
async def test_each_type_becomes_a_mail_event_with_its_fields(  # noqa: PLR0917 - a table
    hook: Api, sns: FakeSns, kind: str, details: dict[str, Any], moment: str, told: dict[str, Any], member: str
) -> None:
    (event,) = await taken(hook, sns.message({member: kind, "mail": mail(), **details}))
    name = "email.sent" if kind == "Send" else f"email.{kind.lower()}"
    assert (event.name, event.email) == (name, "ada@example.com")
    assert (event.occurred_at, event.received_at) == (moment, NOW)
    assert event.email_id == "0100017f-mail"
    assert json.loads(event.data) == {**BASE, **told}
    assert event.subscribed is (False if kind in ("Bounce", "Complaint") else None)
    assert event.numbered is (kind in ("Open", "Click"))  # the writer adds opens, isFirstOpen, clicks and isFirstClick


async def test_a_received_mail_is_an_event_of_its_sender(hook: Api, sns: FakeSns) -> None:
    receipt = {
        "timestamp": "2026-11-23T06:56:00.000Z",
        "recipients": ["support@example.net"],
        "spamVerdict": {"status": "PASS"},
        "virusVerdict": {"status": "PASS"},
        "spfVerdict": {"status": "GRAY"},
        "dkimVerdict": {"status": "FAIL"},
        "dmarcVerdict": {"status": "PASS"},
    }
    received = mail(source="ada@example.com", commonHeaders={"from": ["Ada <ada@example.com>"], "subject": "Help"})
    (event,) = await taken(
        hook, sns.message({"notificationType": "Received", "mail": received, "receipt": receipt, "content": "…"})
    )
    assert (event.name, event.email, event.occurred_at) == (
        "email.received",
        "ada@example.com",
        "2026-11-23T06:56:00.000Z",
    )
    assert json.loads(event.data) == {
        "subject": "Help",
        "from": "Ada <ada@example.com>",
        "messageId": "0100017f-mail",
        "receivedAt": "2026-11-23T06:56:00.000Z",
        "recipients": ["support@example.net"],
        "spamVerdict": "PASS",
        "virusVerdict": "PASS",
        "spfVerdict": "GRAY",
        "dkimVerdict": "FAIL",
        "dmarcVerdict": "PASS",
    }


async def test_a_transient_bounce_does_not_unsubscribe(hook: Api, sns: FakeSns) -> None:
    bounce = {"bounceType": "Transient", "bouncedRecipients": [{"emailAddress": "ada@example.com"}]}
    (event,) = await taken(hook, sns.message({"eventType": "Bounce", "mail": mail(), "bounce": bounce}))
    assert event.subscribed is None
    assert json.loads(event.data)["transientBounce"] is True


async def test_several_recipients_give_one_event_each(hook: Api, sns: FakeSns) -> None:
    people = ["Ada <Ada@Example.com>", "grace@example.com", "ada@example.com", "not an address", 7]
    events = await taken(hook, sns.message({"eventType": "Send", "mail": mail(destination=people)}))
    assert [event.email for event in events] == ["ada@example.com", "grace@example.com"]
    assert len({event.id for event in events}) == 2


async def test_a_redelivery_is_the_same_event(hook: Api, sns: FakeSns) -> None:
    many = {"eventType": "Send", "mail": mail(destination=["ada@example.com", "grace@example.com"])}
    message = sns.message(many)
    await taken(hook, message)
    events = await taken(hook, message)
    assert len(events) == 4
    assert len({event.id for event in events}) == 2
    assert all(event.derived for event in events)
    other = await taken(hook, sns.message(many, MessageId="another"))
    assert len({event.id for event in other}) == 4


async def test_the_200_says_up_to_where_reads_must_be_and_comes_after_the_log(hook: Api, sns: FakeSns) -> None:
    assert from_token((await post(hook, sns.message(DELIVERY))).headers["x-position"])
    with commits_blocked(hook.directory):
        response = await post(hook, sns.message(DELIVERY, MessageId="2"))
    error_of(response, 503, "SERVICE_UNAVAILABLE")
    assert len(hook.stored()) == 1


@pytest.mark.parametrize("moment", ["2030-01-01T00:00:00Z", "yesterday", 7, None])
async def test_a_time_that_cannot_be_is_replaced_by_that_of_receipt(hook: Api, sns: FakeSns, moment: Any) -> None:
    message = {"eventType": "Send", "mail": mail(timestamp=moment)}
    (event,) = await taken(hook, sns.message(message))
    assert (event.occurred_at, event.received_at) == (NOW, "")


@pytest.mark.parametrize(
    "message",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        "[]",
        "{}",
        {"eventType": "Reject", "mail": mail()},
        {"eventType": "DeliveryDelay", "mail": mail()},
        {"eventType": "Send"},
        {"eventType": ["Send"], "mail": mail()},
        {"eventType": "Send", "mail": mail(destination=[])},
        {"eventType": "Send", "mail": mail(destination="ada@example.com")},
        {"eventType": "Bounce", "mail": mail(), "bounce": {"bouncedRecipients": ["ada@example.com"]}},
        "[" * 5000,
    ],
)
async def test_other_messages_are_acknowledged_counted_and_stored_nowhere(
    hook: Api, sns: FakeSns, message: Any
) -> None:
    assert await taken(hook, sns.message(message)) == []
    metrics = (await hook.client.get("/metrics")).text
    assert "penstock_sns_ignored_total 1.0" in metrics


# --- malformed bodies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"not json"])
async def test_what_is_not_json_is_a_bad_request(hook: Api, body: bytes) -> None:
    error_of(await post(hook, body), 400, "BAD_REQUEST")


async def test_members_that_are_missing_or_wrong_are_named(hook: Api, sns: FakeSns) -> None:
    assert problems_of(await post(hook, [])) == [("body", "invalid_type")]
    assert [field for field, _ in problems_of(await post(hook, {}))] == [
        "Type",
        "MessageId",
        "TopicArn",
        "Message",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
    ]
    wrong = {**sns.message(DELIVERY), "Type": "Other", "Message": {}}
    assert problems_of(await post(hook, wrong)) == [("Type", "invalid_enum_value"), ("Message", "invalid_type")]
