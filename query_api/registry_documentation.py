"""What the OpenAPI document says of the parameters, bodies and answers of segments and workflows."""

from typing import Any

from pydantic import BaseModel

from query_api.documentation import (
    AFTER,
    ANSWER_HEADERS,
    BODY_REFUSED,
    CONTENT_ENCODING,
    CURSOR,
    DELETED,
    POSITION_HEADERS,
    READ,
    limit_of,
    parameter,
)
from query_api.paging import DEFAULT_LIST_LIMIT
from schemas.wire import ErrorResponse
from schemas.wire_reads import Pending
from schemas.wire_registry import NewSegment, NewWorkflow, SegmentChange, WorkflowChange

Answers = dict[int | str, dict[str, Any]]

_DONE: dict[str, Any] = {"headers": POSITION_HEADERS}
_DISABLED: Answers = {403: DELETED[403]}
_UNKNOWN: Answers = {
    404: {"model": ErrorResponse, "description": "`RESOURCE_NOT_FOUND`: the project has none with this id."}
}
_SLUG_TAKEN: Answers = {
    409: {"model": ErrorResponse, "description": "`CONFLICT`: another segment has the slug; `details` says which."}
}
_IN_USE: Answers = {
    409: {
        "model": ErrorResponse,
        "description": "`CONFLICT`: segments or workflows refer to it; `details` has `usedInSegments` and "
        "`usedInWorkflows`.",
    }
}

FOUND: Answers = {**READ, 404: _UNKNOWN[404] | {"headers": {"X-Data-Age-Ms": ANSWER_HEADERS["X-Data-Age-Ms"]}}}
MADE: Answers = {201: _DONE, **_DISABLED, **BODY_REFUSED}
SEGMENT_MADE: Answers = {**MADE, **_SLUG_TAKEN}
CHANGED: Answers = {200: _DONE, **_DISABLED, **_UNKNOWN, **BODY_REFUSED}
COMPUTED: Answers = {
    200: _DONE,
    202: {
        "model": Pending,
        "description": "It goes on, and takes longer than 10 seconds.",
        "headers": POSITION_HEADERS,
    },
    **_DISABLED,
    **_UNKNOWN,
}
ROTATED: Answers = {200: _DONE, **_DISABLED, **_UNKNOWN}
REMOVED: Answers = {204: {"description": "Done.", "headers": POSITION_HEADERS}, **_DISABLED, **_UNKNOWN}
SEGMENT_REMOVED: Answers = {**REMOVED, **_IN_USE}

_SEGMENT_ID = parameter("id", "The segment's id.", "path", format="uuid")
_WORKFLOW_ID = parameter("id", "The workflow's id.", "path", format="uuid")

# The parameters of each route.
SEGMENTS = [limit_of(DEFAULT_LIST_LIMIT, "segments"), CURSOR, AFTER]
ONE_SEGMENT = [_SEGMENT_ID, AFTER]
MEMBERS = [_SEGMENT_ID, limit_of(DEFAULT_LIST_LIMIT, "members"), CURSOR, AFTER]
SEGMENT_CHANGE = [_SEGMENT_ID, CONTENT_ENCODING]
SEGMENT_ALONE = [_SEGMENT_ID]
WORKFLOWS = [limit_of(DEFAULT_LIST_LIMIT, "workflows"), CURSOR, AFTER]
ONE_WORKFLOW = [_WORKFLOW_ID, AFTER]
WORKFLOW_CHANGE = [_WORKFLOW_ID, CONTENT_ENCODING]
WORKFLOW_ALONE = [_WORKFLOW_ID]
MAKING = [CONTENT_ENCODING]


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """What is made of other models refers to those of the answers, where these have them too; the rest is unfolded."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs", {})
    unfolded = _unfolded(schema, {name: part for name, part in parts.items() if name == "WebhookChange"})
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": unfolded}}}}


def _unfolded(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_unfolded(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    part = parts.get(str(schema.get("$ref")).rpartition("/")[2], {})
    own = {key: _unfolded(value, parts) for key, value in schema.items() if not (part and key == "$ref")}
    return {**part, **own}


NEW_SEGMENT = _body(NewSegment)
SEGMENT_BODY = _body(SegmentChange)
NEW_WORKFLOW = _body(NewWorkflow)
WORKFLOW_BODY = _body(WorkflowChange)
