"""Segments and workflows as records of the control topic (see `schemas.control`), and their keys.

`segment/<id>` and `workflow/<id>` hold what a caller asked for; `workflow-state/<id>` what became of the deliveries, as
that is said by others than who changes the workflow.
"""

from typing import Annotated

import msgspec

_Uuid = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]

UNKNOWN_OFFSET = -1


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """Contacts that have something in common.

    Attributes:
        condition: the JSON text that was sent; "" where the membership is computed elsewhere.
        tracked: whether entries and exits are emitted.
        revision: another one wherever all contacts must be looked at anew.
        first_offset: where the segment's first record stands, `UNKNOWN_OFFSET` in that record: of two segments that
            were made with the same slug at the same time, the first one has it. Later records carry it, as compaction
            drops the first.
    """

    id: _Uuid
    project_id: _Uuid
    name: str
    slug: str
    condition: str
    tracked: bool
    revision: str
    created_at: str
    updated_at: str
    first_offset: int = UNKNOWN_OFFSET


class SigningSecret(msgspec.Struct, frozen=True, omit_defaults=True):
    """A secret that signs deliveries.

    Attributes:
        text: `whsec_` and base64.
        expires_at: until when it signs; "" for no end.
    """

    text: str
    expires_at: str = ""


class Workflow(msgspec.Struct, frozen=True, omit_defaults=True):
    """Events of a name are sent to an endpoint.

    Attributes:
        condition: the JSON text that was sent, "" for none.
        secrets: newest first.
    """

    id: _Uuid
    project_id: _Uuid
    name: str
    enabled: bool
    event_name: str
    url: str
    secrets: tuple[SigningSecret, ...]
    created_at: str
    updated_at: str
    condition: str = ""
    headers: dict[str, str] = {}


class WorkflowState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a workflow's deliveries.

    Attributes:
        updated_at: the workflow's, when this was said: a change of the workflow makes it void.
        failing: whether a delivery was given up since one succeeded.
        gone: whether the endpoint said that it wants no more (410).
    """

    workflow_id: _Uuid
    updated_at: str
    failing: bool = False
    gone: bool = False


Registered = Segment | Workflow | WorkflowState

_TYPES: dict[str, type[Segment] | type[Workflow] | type[WorkflowState]] = {
    "segment": Segment,
    "workflow": Workflow,
    "workflow-state": WorkflowState,
}


def registry_key(registered: Registered) -> str:
    """The record key."""
    match registered:
        case Segment():
            return segment_key(registered.id)
        case Workflow():
            return workflow_key(registered.id)
        case WorkflowState():
            return workflow_state_key(registered.workflow_id)


def segment_key(segment_id: str) -> str:
    """The record key of a segment."""
    return f"segment/{segment_id}"


def workflow_key(workflow_id: str) -> str:
    """The record key of a workflow."""
    return f"workflow/{workflow_id}"


def workflow_state_key(workflow_id: str) -> str:
    """The record key of what became of a workflow's deliveries."""
    return f"workflow-state/{workflow_id}"


def encode_registered(registered: Registered) -> bytes:
    """The record value."""
    return msgspec.json.encode(registered)


def is_registered(key: str) -> bool:
    """Whether the key is one of a segment or a workflow."""
    return key.partition("/")[0] in _TYPES


def decode_registered(key: str, value: bytes) -> Registered | None:
    """Reads a record back; None for what is none of these.

    Raises:
        msgspec.DecodeError: the value is not what the key promises.
    """
    kind = _TYPES.get(key.partition("/")[0])
    return None if kind is None else msgspec.json.decode(value, type=kind)
