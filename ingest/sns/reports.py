"""From what Amazon SES publishes to the reports of mails that it stands for. Pure: no I/O.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
https://docs.aws.amazon.com/ses/latest/dg/receiving-email-notifications-contents.html
"""

from collections.abc import Callable, Iterable
from email.utils import parseaddr
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from ingest.fields import email_error, occurred_ms
from ingest.mail import MailBody
from schemas.names import MAX_REFERENCE

_Members = dict[str, Any]

_VERDICTS = ("spamVerdict", "virusVerdict", "spfVerdict", "dkimVerdict", "dmarcVerdict")


class _Kind(NamedTuple):
    """How one type of event is read.

    Attributes:
        event: its name here.
        member: where SES tells more of it.
        moment: what `data` calls the time at which it happened.
        people: the addresses of those whom it is about.
        details: what `data` has beyond what all mails have.
    """

    event: str
    member: str
    moment: str
    people: Callable[[_Members, _Members], Iterable[Any]]
    details: Callable[[_Members], _Members]


def reports_of(message: str, now_ms: int) -> list[MailBody] | None:
    """One report per person, without those whose address is none; None where the message is none that is known.

    Args:
        message: the text that SNS carries.
        now_ms: milliseconds since 1970; a time that cannot be right is replaced by it.
    """
    try:
        published = msgspec.json.decode(message, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None
    name = published.get("eventType") or published.get("notificationType")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    mail = published.get("mail")
    if kind is None or not isinstance(mail, dict):
        return None
    told = _members(published, kind.member)
    moment = told.get("timestamp") or mail.get("timestamp")
    timestamp = moment if isinstance(moment, str) and isinstance(occurred_ms(moment, now_ms), int) else UNSET
    data = _without_none(_of_mail(mail) | {kind.moment: moment} | kind.details(told))
    message_id = _reference(mail.get("messageId"))
    return [
        MailBody(
            event=kind.event,
            email=address,
            data=msgspec.Raw(msgspec.json.encode(data)),
            timestamp=timestamp,
            emailId=message_id,
            messageId=message_id,
        )
        for address in _addresses(kind.people(mail, told))
    ]


def _of_mail(mail: _Members) -> _Members:
    head = _members(mail, "commonHeaders")
    senders = head.get("from")
    sender = senders[0] if isinstance(senders, list) and senders else mail.get("source")
    return {"subject": head.get("subject"), "from": sender, "messageId": mail.get("messageId")}


def _members(of: _Members, name: str) -> _Members:
    found = of.get(name)
    return found if isinstance(found, dict) else {}


def _without_none(members: _Members) -> _Members:
    return {name: value for name, value in members.items() if value is not None}


def _reference(text: Any) -> Any:
    return text if isinstance(text, str) and 0 < len(text) <= MAX_REFERENCE else UNSET


def _addresses(people: Iterable[Any]) -> list[str]:
    """Each plain address once; SES repeats them as they were written, names and all."""
    plain = [parseaddr(text)[1].lower() for text in people if isinstance(text, str)]
    return list(dict.fromkeys(address for address in plain if not email_error(address)))


def _listed(of: _Members, name: str) -> list[Any]:
    found = of.get(name)
    return found if isinstance(found, list) else []


def _recipients(mail: _Members, _: _Members) -> list[Any]:
    return _listed(mail, "destination")


def _delivered_to(mail: _Members, delivery: _Members) -> list[Any]:
    return _listed(delivery, "recipients") or _recipients(mail, delivery)


def _named_in(list_name: str) -> Callable[[_Members, _Members], list[Any]]:
    def named(_: _Members, told: _Members) -> list[Any]:
        return [one.get("emailAddress") for one in _listed(told, list_name) if isinstance(one, dict)]

    return named


def _sender(mail: _Members, _: _Members) -> list[Any]:
    return [mail.get("source")]


def _nothing(_: _Members) -> _Members:
    return {}


def _click(click: _Members) -> _Members:
    return {"link": click.get("link")}


def _bounce(bounce: _Members) -> _Members:
    kind = bounce.get("bounceType")
    return {"bounceType": kind, "bounceSubType": bounce.get("bounceSubType"), "transientBounce": kind == "Transient"}


def _complaint(complaint: _Members) -> _Members:
    return {"complaintFeedbackType": complaint.get("complaintFeedbackType")}


def _receipt(receipt: _Members) -> _Members:
    verdicts = {name: _members(receipt, name).get("status") for name in _VERDICTS}
    return {"recipients": receipt.get("recipients"), **verdicts}


_KINDS = {
    "Send": _Kind("email.sent", "send", "sentAt", _recipients, _nothing),
    "Delivery": _Kind("email.delivery", "delivery", "deliveredAt", _delivered_to, _nothing),
    "Open": _Kind("email.open", "open", "openedAt", _recipients, _nothing),
    "Click": _Kind("email.click", "click", "clickedAt", _recipients, _click),
    "Bounce": _Kind("email.bounce", "bounce", "bouncedAt", _named_in("bouncedRecipients"), _bounce),
    "Complaint": _Kind("email.complaint", "complaint", "complainedAt", _named_in("complainedRecipients"), _complaint),
    "Received": _Kind("email.received", "receipt", "receivedAt", _sender, _receipt),
}
