"""What an attempt makes of a delivery. Pure."""

from dataclasses import dataclass

import msgspec

from consumers.webhooks.schedule import HTTP_GONE, WINDOW_MS, is_delivered, next_attempt_ms
from consumers.webhooks.sending import Answer
from penstock.deliveries import DEAD, DELIVERED, FAILED, Attempt, Delivery
from penstock.registry import Registry
from schemas.registry import Workflow


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that is about to be made, and the delivery with it."""

    delivery: Delivery
    attempt: Attempt


def begun(delivery: Delivery, now_ms: int) -> Begun:
    """The attempt is stated before it is made: should the process end in it, that is what is known of it."""
    number = delivery.attempts + 1
    return Begun(msgspec.structs.replace(delivery, attempts=number), Attempt(delivery.id, number, now_ms))


def ended(one: Begun, answer: Answer, now_ms: int, draw: float) -> Begun:
    """What the attempt came to."""
    attempt = msgspec.structs.replace(
        one.attempt,
        status_code=answer.status_code or 0,
        duration_ms=answer.duration_ms,
        error=answer.error or "",
        response=answer.response,
        has_ended=True,
    )
    delivery = one.delivery
    status, next_ms = DELIVERED, 0
    if not is_delivered(answer.status_code) or answer.error:
        following = next_attempt_ms(delivery.attempts, now_ms, delivery.due_since_ms, answer.retry_after_seconds, draw)
        is_over = following is None or answer.status_code == HTTP_GONE
        status, next_ms = (DEAD, 0) if is_over or following is None else (FAILED, following)
    return Begun(
        msgspec.structs.replace(
            delivery,
            status=status,
            next_attempt_ms=next_ms,
            last_status_code=answer.status_code or 0,
            last_error=answer.error or "",
            version=delivery.version + 1,
        ),
        attempt,
    )


def given_up(delivery: Delivery, error: str) -> Delivery:
    """A delivery that is not tried any more."""
    return msgspec.structs.replace(
        delivery, status=DEAD, next_attempt_ms=0, last_error=error, version=delivery.version + 1
    )


def obstacle(registry: Registry, delivery: Delivery, now_ms: int) -> str | None:
    """Why a delivery is not to be tried at all; None where it is, now or later."""
    workflow = registry.workflow(delivery.project_id, delivery.workflow_id)
    if workflow is None:
        return "The workflow was deleted"
    if registry.state_of(workflow).gone:
        return "The endpoint wants no more deliveries (410)"
    if not workflow.enabled and now_ms >= delivery.due_since_ms + WINDOW_MS:
        return "The workflow was disabled for a day"
    return None


def live_secrets(workflow: Workflow, now: str) -> list[str]:
    """Those that sign at a moment (as on the wire), newest first."""
    return [secret.text for secret in workflow.secrets if not secret.expires_at or secret.expires_at > now]
