"""`POST /v1/hooks/email`: what mail systems report, from request to acknowledgement."""

from starlette.types import Receive, Scope

from ingest import answers
from ingest.body import JSON_TYPES
from ingest.intake import Intake, body_type
from ingest.mail import accept_mail
from penstock.errors import MalformedBody, PayloadTooLarge, ValidationFailed
from penstock.http import RawResponse


class HookRoutes:
    """The hooks as direct routes (see `penstock.http`)."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

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
