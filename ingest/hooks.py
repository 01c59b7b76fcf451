"""The hooks: what other systems report of mails and contacts, from request to acknowledgement."""

from collections.abc import Mapping, Sequence

import structlog
from starlette.types import Receive, Scope

from ingest import answers
from ingest.accept import Accepted, Caller
from ingest.batch import Outcome
from ingest.contacts import ContactDirectory
from ingest.intake import Intake, body_type
from ingest.mail import accept_mail, accept_report
from ingest.named import Named, unnamed
from ingest.segment_hook import Segments, StepBody, accept_step, accept_steps, read_step, slugs_of
from ingest.segments import SegmentDirectory
from ingest.sns.message import SnsMessage, read_message
from ingest.sns.reports import reports_of
from ingest.sns.source import SnsSource
from ingest.subscription import accept_subscription, accept_subscriptions, read_subscription
from penstock.auth import Principal
from penstock.body import JSON_TYPES
from penstock.errors import RequestError, Unavailable
from penstock.http import RawResponse

_log = structlog.get_logger(__name__)


class HookRoutes:
    """The hooks as direct routes (see `penstock.http`)."""

    def __init__(self, intake: Intake, sns: SnsSource, contacts: ContactDirectory, segments: SegmentDirectory) -> None:
        self._intake = intake
        self._sns = sns
        self._contacts = contacts
        self._segments = segments

    async def email(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /v1/hooks/email`."""
        intake = self._intake
        body, caller = await self._read(scope, receive)
        try:
            accepted = accept_mail(body, caller, intake.limits)
        except RequestError:
            intake.reject()
            raise
        if isinstance(accepted, list):
            intake.charge(scope, caller.principal, len(accepted))
            return await self._answer_array(accepted, caller)
        return await self._answer_one(accepted, caller)

    async def contact(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /v1/hooks/contact`."""
        intake = self._intake
        body, caller = await self._read(scope, receive)
        try:
            read = read_subscription(body, caller, intake.limits)
            if isinstance(read, list):
                intake.charge(scope, caller.principal, len(read))
                outcomes = accept_subscriptions(read, caller, await self._emails(read, caller))
                return await self._answer_array(outcomes, caller)
            accepted = accept_subscription(read, caller, await self._emails([read], caller))
        except RequestError:
            intake.reject()
            raise
        return await self._answer_one(accepted, caller)

    async def segment(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /v1/hooks/segment`."""
        intake = self._intake
        body, caller = await self._read(scope, receive)
        try:
            read = read_step(body, caller, intake.limits)
            if isinstance(read, list):
                intake.charge(scope, caller.principal, len(read))
                segments = await self._segments_of(read, caller)
                outcomes = accept_steps(read, caller, await self._emails(read, caller), segments)
                return await self._answer_array(outcomes, caller)
            segments = await self._segments_of([read], caller)
            accepted = accept_step(read, caller, await self._emails([read], caller), segments)
        except RequestError:
            intake.reject()
            raise
        return await self._answer_one(accepted, caller)

    async def _segments_of(self, read: Sequence[StepBody | RequestError], caller: Caller) -> Segments:
        return await self._segments.segments_of(caller.principal.project_id, slugs_of(read))

    async def _emails(self, read: Sequence[Named | RequestError], caller: Caller) -> Mapping[str, str]:
        contact_ids = unnamed(read)
        if not contact_ids:
            return {}
        try:
            return await self._contacts.emails_of(caller.principal.project_id, contact_ids)
        except Unavailable as error:
            message = f"Whom `contactId` stands for cannot be told now; send `email` instead: {error.message}"
            raise Unavailable(message, retry_after_seconds=error.retry_after_seconds) from error

    async def _read(self, scope: Scope, receive: Receive) -> tuple[bytes, Caller]:
        """A body of JSON and whose it is; a hook takes one object or an array."""
        intake, head = self._intake, dict(scope["headers"])
        principal = intake.admit(scope, head, secret_only=True)
        body_type(head, JSON_TYPES)
        body = await intake.read(scope, receive, head, intake.max_batch_bytes)
        return body, intake.caller(principal)

    async def _answer_one(self, accepted: Accepted, caller: Caller) -> RawResponse:
        position = await self._intake.append([accepted], caller)
        return RawResponse(200, answers.tracked(accepted), answers.headers(position))

    async def _answer_array(self, outcomes: Sequence[Outcome], caller: Caller) -> RawResponse:
        position = await self._intake.append_accepted(outcomes, caller)
        return RawResponse(200, answers.batch(outcomes), answers.headers(position))

    async def sns(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /webhooks/sns`. SNS sends JSON as text, so the body's type says nothing."""
        intake, head = self._intake, dict(scope["headers"])
        message = read_message(await intake.read(scope, receive, head, intake.max_batch_bytes))
        await self._sns.verify(message)
        principal = intake.admit_topic(scope, message.topic_arn)
        if message.is_confirmation:
            await self._confirm(message)
            return RawResponse(200, answers.DONE)
        return await self._append(scope, principal, message)

    async def _confirm(self, message: SnsMessage) -> None:
        """The end of a subscription needs no answer: to give one would begin it anew."""
        if message.type == "SubscriptionConfirmation":
            await self._sns.confirm(message)
        _log.info("SNS subscription", type=message.type, topic_arn=message.topic_arn)

    async def _append(self, scope: Scope, principal: Principal, message: SnsMessage) -> RawResponse:
        intake = self._intake
        caller = intake.caller(principal)
        reports = reports_of(message.message, caller.now_ms)
        if not reports:
            intake.ignore()
            return RawResponse(200, answers.DONE)
        intake.charge(scope, principal, len(reports))
        entries: list[Accepted] = [
            accept_report(report, caller, ("sns", message.message_id), numbered=True) for report in reports
        ]
        return RawResponse(200, answers.DONE, answers.headers(await intake.append(entries, caller)))
