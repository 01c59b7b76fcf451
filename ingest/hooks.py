"""`POST /v1/hooks/email` and `POST /webhooks/sns`: what mail systems report, from request to acknowledgement."""

import structlog
from starlette.types import Receive, Scope

from ingest import answers
from ingest.accept import Accepted
from ingest.body import JSON_TYPES
from ingest.intake import Intake, body_type
from ingest.mail import accept_mail, accept_report
from ingest.sns.message import SnsMessage, read_message
from ingest.sns.reports import reports_of
from ingest.sns.source import SnsSource
from penstock.auth import Principal
from penstock.errors import MalformedBody, PayloadTooLarge, ValidationFailed
from penstock.http import RawResponse

_log = structlog.get_logger(__name__)


class HookRoutes:
    """The hooks as direct routes (see `penstock.http`)."""

    def __init__(self, intake: Intake, sns: SnsSource) -> None:
        self._intake = intake
        self._sns = sns

    async def email(self, scope: Scope, receive: Receive) -> RawResponse:
        """`POST /v1/hooks/email`."""
        intake, head = self._intake, dict(scope["headers"])
        principal = intake.admit(scope, head, secret_only=True)
        body_type(head, JSON_TYPES)
        body = await intake.read(scope, receive, head, intake.max_batch_bytes)
        caller = intake.caller(principal)
        try:
            accepted = accept_mail(body, caller, intake.limits)
        except (MalformedBody, PayloadTooLarge, ValidationFailed):
            intake.reject()
            raise
        if isinstance(accepted, list):
            intake.charge(scope, principal, len(accepted))
            position = await intake.append_accepted(accepted, caller)
            return RawResponse(200, answers.batch(accepted), answers.headers(position))
        position = await intake.append([accepted], caller)
        return RawResponse(200, answers.tracked(accepted), answers.headers(position))

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
        entries: list[Accepted] = [accept_report(report, caller, ("sns", message.message_id)) for report in reports]
        return RawResponse(200, answers.DONE, answers.headers(await intake.append(entries, caller)))
