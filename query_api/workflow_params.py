"""What the routes of workflows are asked to make or to change: bodies to frozen requests. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from penstock.errors import FieldError
from query_api.body_members import Members, read_members
from query_api.condition_params import condition_text
from query_api.webhook_params import read_headers
from schemas.names import MAX_NAME
from schemas.wire_registry import MAX_TITLE

CheckUrl = Callable[[str], str | None]
"""Tells why nothing may be sent to a URL; None where it may."""


@dataclass(frozen=True, slots=True)
class WorkflowAsked:
    """What a body says of a workflow; None where it says nothing.

    Attributes:
        event_name, condition: of the trigger, both or none are there; the condition as text, "" for none.
        problems: all that is wrong with the request as far as it can be told from it alone.
    """

    name: str | None
    enabled: bool | None
    event_name: str | None
    condition: str | None
    url: str | None
    headers: Mapping[str, str] | None
    problems: Sequence[FieldError]


def new_workflow(body: bytes, check_url: CheckUrl) -> WorkflowAsked:
    """The workflow that is to be made.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: no object.
    """
    members = read_members(body)
    members.require("name", "trigger", "webhook")
    return _asked(members, check_url, is_new=True)


def workflow_change(body: bytes, check_url: CheckUrl, problems: Iterable[FieldError] = ()) -> WorkflowAsked:
    """What of a workflow is to change; raises as `new_workflow` does.

    Args:
        problems: what is wrong with the rest of the request.
    """
    members = read_members(body, problems)
    if not any(name in members for name in ("name", "enabled", "trigger", "webhook")):
        members.wrong("body", "Must have name, enabled, trigger or webhook", "custom")
    return _asked(members, check_url, is_new=False)


def _asked(members: Members, check_url: CheckUrl, *, is_new: bool) -> WorkflowAsked:
    name, enabled = members.title("name", MAX_TITLE), members.flag("enabled")
    event_name, condition = _trigger(members.object("trigger"))
    url, headers = _webhook(members, check_url, is_new=is_new)
    return WorkflowAsked(name, enabled, event_name, condition, url, headers, members.problems)


def _trigger(trigger: Members | None) -> tuple[str | None, str | None]:
    if trigger is None:
        return None, None
    trigger.require("eventName")
    event_name = trigger.line("eventName", MAX_NAME)
    return event_name, condition_text(trigger, "condition", with_trigger=True) or ""


def _webhook(members: Members, check_url: CheckUrl, *, is_new: bool) -> tuple[str | None, dict[str, str] | None]:
    webhook = members.object("webhook")
    if webhook is None:
        return None, None
    if is_new:
        webhook.require("url")
    elif "url" not in webhook and "headers" not in webhook:
        members.wrong("webhook", "Must have url or headers", "custom")
    url = webhook.text("url")
    if url is not None and (refused := check_url(url)):
        webhook.wrong("url", refused, "invalid_string")
    return url, read_headers(webhook)
