"""Messages of Amazon SNS, from the topic that a command registers to the reads: both forms, over HTTP alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import FORMS, make
from tests.support.client import Client
from tests.support.deployments import Deployment
from tests.support.services import wait_until
from tests.support.sns import ARN, FakeSns, mail, make_certificate, serving_host

pytestmark = pytest.mark.services

_KNOWN_SECONDS = 5


@pytest.fixture(scope="module")
def sns() -> Iterator[FakeSns]:
    root = make_certificate("Test Root", None, is_authority=True)
    signer = make_certificate("sns.amazonaws.com", root)
    with serving_host() as host:
        host.files |= {"/signer.pem": signer.pem, "/confirm": b""}
        yield FakeSns(host, root, signer)


@pytest.fixture(scope="module", params=FORMS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sns: FakeSns
) -> Iterator[Deployment]:
    tmp_path = tmp_path_factory.mktemp(f"sns-{request.param}")
    file = tmp_path / "authorities.pem"
    file.write_bytes(sns.root.pem)
    hosts = json.dumps([sns.host.name])
    made = make(request.param, tmp_path, {"PENSTOCK_SNS__CERTIFICATE_HOSTS": hosts, "PENSTOCK_SNS__CA_FILE": str(file)})
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _post(running: Deployment, message: dict[str, Any], instance: int = 0) -> httpx.Response:
    url = running.ingest_urls[instance % len(running.ingest_urls)]
    return httpx.post(f"{url}/webhooks/sns", content=json.dumps(message), headers={"Content-Type": "text/plain"})


def test_a_topic_is_registered_confirmed_and_its_events_are_in_every_read_once(
    running: Deployment, sns: FakeSns
) -> None:
    project = running.create_project()
    refused = _post(running, sns.confirmation())
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "TOPIC_NOT_REGISTERED")
    added = running.cli_json("topic-arn", "add", "--project", project.id, ARN)
    assert (added["topicArn"], added["projectId"]) == (ARN, project.id)
    assert running.cli_json("topic-arn", "add", "--project", project.id, ARN) == added
    assert running.cli_json("topic-arn", "list") == [added]
    for instance in range(len(running.ingest_urls)):
        wait_until(
            lambda at=instance: _post(running, sns.confirmation(), at).status_code == 200,  # type: ignore[misc] # mypy does not infer a lambda's default
            _KNOWN_SECONDS,
            "the topic to be known",
        )
    assert any(path.startswith("/confirm") for path in sns.host.asked)

    bounce = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "ada@example.com"}]}
    published = {"eventType": "Bounce", "mail": mail(), "bounce": bounce}
    for instance in range(4):
        answer = _post(running, sns.message(published, version="2"), instance)
        assert answer.status_code == 200, answer.text
    client = Client(running, project)
    page = client.read("/events", after=answer.headers["X-Position"])
    row = next(one for one in page["events"] if one["name"] == "email.bounce")
    assert (row["name"], row["emailId"], row["contact"]) == (
        "email.bounce",
        "0100017f-mail",
        {"email": "ada@example.com"},
    )
    assert client.counts() == {"contact.unsubscribed": 1, "email.bounce": 1}
    (told,) = [one for one in client.read("/events")["events"] if one["name"] == "contact.unsubscribed"]
    assert told["data"] == {"reason": "bounce"}

    running.cli_json("topic-arn", "remove", ARN)
    wait_until(lambda: _post(running, sns.message(published)).status_code == 403, _KNOWN_SECONDS, "the refusal")
    client.close()


def test_opens_and_clicks_tell_their_number(running: Deployment, sns: FakeSns) -> None:
    project = running.create_project()
    arn = f"{ARN}-numbers"
    running.cli_json("topic-arn", "add", "--project", project.id, arn)
    for number, kind in enumerate(["Open", "Click", "Open", "Open"]):
        message = sns.message({"eventType": kind, "mail": mail()}, TopicArn=arn, MessageId=f"message-{number}")
        wait_until(
            lambda sent=message: _post(running, sent, 0).status_code == 200,  # type: ignore[misc] # mypy does not infer a lambda's default
            _KNOWN_SECONDS,
            "the topic to be known",
        )
        answer = _post(running, message, 1)
        assert answer.status_code == 200, answer.text
    client = Client(running, project)
    rows = client.read("/events", after=answer.headers["X-Position"])["events"]
    opens = sorted((row["data"]["opens"], row["data"]["isFirstOpen"]) for row in rows if row["name"] == "email.open")
    assert opens == [(1, True), (2, False), (3, False)]
    (click,) = [row["data"] for row in rows if row["name"] == "email.click"]
    assert (click["clicks"], click["isFirstClick"]) == (1, True)
    client.close()


def test_topics_that_cannot_be_registered_are_one_clear_line(running: Deployment) -> None:
    first, second = running.create_project(), running.create_project()
    running.cli_json("topic-arn", "add", "--project", first.id, ARN)
    for wanted, arguments in {
        "is no ARN of an SNS topic": ("add", "--project", first.id, "arn:aws:sqs:eu-west-1:123456789012:x"),
        "There is no project": ("add", "--project", "nobody", ARN + "2"),
        f"belongs to project {first.id}": ("add", "--project", second.id, ARN),
        "is not registered": ("remove", ARN + "2"),
    }.items():
        done = running.cli("topic-arn", *arguments)
        assert done.returncode == 1
        assert wanted in done.stderr
        assert "Traceback" not in done.stderr
    assert [topic["topicArn"] for topic in running.cli_json("topic-arn", "list", "--project", second.id)] == []


def test_a_ca_file_that_cannot_be_read_keeps_it_from_starting_with_one_clear_line(tmp_path: Path) -> None:
    made = make("embedded", tmp_path, {"PENSTOCK_SNS__CA_FILE": str(tmp_path / "absent.pem")})
    done = made.cli("up", "--port", "0")
    assert done.returncode == 1
    assert "PENSTOCK_SNS__CA_FILE" in done.stderr
    assert "Traceback" not in done.stderr
