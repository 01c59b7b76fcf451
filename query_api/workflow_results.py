"""Workflows to the bodies of answers, as bytes. Pure. Only the answer that makes or rotates a secret has it."""

import msgspec

from penstock.registry import Registry
from query_api.list_cursor import to_token
from query_api.paging import Page
from schemas.registry import Workflow, WorkflowState

_encode = msgspec.json.encode


def workflow_body(workflow: Workflow, state: WorkflowState) -> bytes:
    """One workflow."""
    return _encode(_members(workflow, state))


def made_body(workflow: Workflow) -> bytes:
    """One that was made just now: with its secret."""
    nothing_yet = WorkflowState(workflow.id, workflow.updated_at)
    return _encode({**_members(workflow, nothing_yet), "secret": workflow.secrets[0].text})


def rotated_body(workflow: Workflow) -> bytes:
    """The newest secret of one."""
    return _encode({"secret": workflow.secrets[0].text})


def workflows_body(page: Page[Workflow], registry: Registry) -> bytes:
    """A page of workflows."""
    found = [_members(workflow, registry.state_of(workflow)) for workflow in page.found]
    return _encode({"workflows": found, "cursor": page.end and to_token("workflows", page.end)})


def _members(workflow: Workflow, state: WorkflowState) -> dict[str, object]:
    condition = {"condition": msgspec.Raw(workflow.condition.encode())} if workflow.condition else {}
    headers = {"headers": workflow.headers} if workflow.headers else {}
    return {
        "id": workflow.id,
        "name": workflow.name,
        "enabled": workflow.enabled,
        "status": _status(workflow, state),
        "trigger": {"eventName": workflow.event_name, **condition},
        "webhook": {"url": workflow.url, **headers},
        "createdAt": workflow.created_at,
        "updatedAt": workflow.updated_at,
    }


def _status(workflow: Workflow, state: WorkflowState) -> str:
    if not workflow.enabled or state.gone:
        return "disabled"
    return "failing" if state.failing else "active"
