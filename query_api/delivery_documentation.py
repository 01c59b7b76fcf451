"""What the OpenAPI document says of the parameters, bodies and answers of deliveries."""

from typing import Any

from query_api.documentation import (
    AFTER,
    BODY_REFUSED,
    CONTENT_ENCODING,
    CURSOR,
    DELETED,
    POSITION_HEADERS,
    limit_of,
    parameter,
)
from query_api.paging import DEFAULT_LIST_LIMIT
from query_api.registry_documentation import FOUND, Answers
from schemas.wire import ErrorResponse
from schemas.wire_deliveries import Replay

__all__ = ["DELIVERIES", "DELIVERY_ALONE", "FOUND", "ONE_DELIVERY", "REPLAY", "REPLAYED", "REPLAY_BODY", "RETRIED"]

_WORKFLOW = parameter("id", "The workflow's id.", "path", format="uuid")
_DELIVERY = parameter("deliveryId", "The delivery's id.", "path", format="uuid")
_STATUS = parameter("status", "Only deliveries of this status.", enum=["pending", "delivered", "failed", "dead"])
_DONE: dict[str, Any] = {"headers": POSITION_HEADERS}
_REFUSED: Answers = {
    403: DELETED[403],
    404: {"model": ErrorResponse, "description": "`RESOURCE_NOT_FOUND`: the project has none with this id."},
}

DELIVERIES = [_WORKFLOW, _STATUS, limit_of(DEFAULT_LIST_LIMIT, "deliveries"), CURSOR, AFTER]
ONE_DELIVERY = [_WORKFLOW, _DELIVERY, AFTER]
DELIVERY_ALONE = [_WORKFLOW, _DELIVERY]
REPLAY = [_WORKFLOW, CONTENT_ENCODING]

RETRIED: Answers = {200: _DONE, **_REFUSED}
REPLAYED: Answers = {202: _DONE, **_REFUSED, **BODY_REFUSED}
REPLAY_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Replay.model_json_schema()}}}
}
