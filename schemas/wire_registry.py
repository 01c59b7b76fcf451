"""The bodies of segments, workflows and of what is used by them, as clients see them: what the OpenAPI document shows.

The query API reads and makes these bodies as bytes; a test holds both against each other.
"""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from schemas.membership import MAX_SLUG
from schemas.names import MAX_NAME
from schemas.wire import without_default
from schemas.wire_conditions import Condition

MAX_TITLE = 255
"""Characters of a segment's or a workflow's name."""

MAX_HEADERS = 20
MAX_HEADER_NAME = 100
MAX_HEADER_VALUE = 1000

_CURSOR = "Leads to the next page; null on the last one."


class Segment(BaseModel):
    """Contacts that have something in common."""

    id: UUID
    name: str = Field(examples=["VIP users"])
    slug: str = Field(
        examples=["vip-users"],
        description="Names the segment in its events, `segment.<slug>.entry` and `.exit`; stays when the name changes.",
    )
    condition: Condition | None = Field(
        description="As it was sent; null where your own systems compute who is in it and report that to "
        "`POST /v1/hooks/segment`."
    )
    trackMembership: bool = Field(description="Whether entries and exits are emitted as events.")  # noqa: N815
    memberCount: int = Field(  # noqa: N815 - wire spelling
        description="How many contacts are in it: of a tracked one those whose entry was emitted, else those that "
        "match the condition now."
    )
    createdAt: str = Field(examples=["2026-11-23T07:00:00.000Z"])  # noqa: N815
    updatedAt: str = Field(examples=["2026-11-23T07:00:00.000Z"])  # noqa: N815


class SegmentsPage(BaseModel):
    """A page of segments, newest first."""

    segments: list[Segment]
    cursor: str | None = Field(description=_CURSOR)


class Member(BaseModel):
    """A contact that is in a segment."""

    contactId: UUID  # noqa: N815
    email: str = Field(examples=["ada@example.com"])
    enteredAt: str | None = Field(  # noqa: N815 - wire spelling
        description="When its last entry happened; null where entries are not emitted."
    )


class MembersPage(BaseModel):
    """A page of the contacts in a segment, in an order of their ids."""

    members: list[Member]
    cursor: str | None = Field(description=_CURSOR)


_TITLE: Any = {"min_length": 1, "max_length": MAX_TITLE}
_SEGMENT_NAME = Field(**_TITLE, examples=["VIP users"], description="Kept as it is; not only blanks.")
_CONDITION = (
    "Which contacts are in it. Null: your own systems compute that and report it to `POST /v1/hooks/segment`. A "
    "`segment.<id>` must be one of the project's, and must not lead back here."
)


class NewSegment(BaseModel):
    """A segment to be made. Members that are not named here are ignored."""

    name: str = _SEGMENT_NAME
    condition: Condition | None = Field(description=_CONDITION)
    trackMembership: bool = Field(default=False, description="Emit entries and exits as events.")  # noqa: N815
    slug: str = Field(
        default="",
        json_schema_extra=without_default,
        pattern=f"^[a-z0-9_-]{{1,{MAX_SLUG}}}$",
        description="Must be free in the project (409). Absent: made of the name, with `-2`, `-3` where that is taken.",
    )


class SegmentChange(BaseModel):
    """What of a segment is to change: one of these at least. Members that are not named here are ignored."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: str = Field(default="", json_schema_extra=without_default, **_TITLE, description="The slug stays.")
    condition: Condition | None = Field(default=None, json_schema_extra=without_default, description=_CONDITION)
    trackMembership: bool = Field(  # noqa: N815 - wire spelling
        default=False,
        json_schema_extra=without_default,
        description="Where it is switched on, every contact that matches already emits its entry.",
    )


class Trigger(BaseModel):
    """Which events are sent."""

    eventName: str = Field(  # noqa: N815 - wire spelling
        min_length=1, max_length=MAX_NAME, examples=["signup"], description="Of exactly this name, system events too."
    )
    condition: Condition | None = Field(
        default=None,
        json_schema_extra=without_default,
        description="What the contact must be, and with `trigger.data.<path>` what the event must say. Left out where "
        "there is none.",
    )


_HEADERS: Any = Field(
    default={},
    json_schema_extra=without_default,
    max_length=MAX_HEADERS,
    examples=[{"X-Tenant": "7"}],
    description=f"Sent with each delivery: {MAX_HEADERS} at most, names of at most {MAX_HEADER_NAME} characters, "
    f"values of at most {MAX_HEADER_VALUE} printable ASCII characters. Not those that frame or sign the request "
    "(`Host`, `Content-…`, `Connection`, `Webhook-…` and the like). Left out where there are none.",
)
_URL = "Where to: an http(s) URL. Nothing is sent to an address that is not public, unless the operator allows it."


class Webhook(BaseModel):
    """Where events are sent."""

    url: str = Field(examples=["https://example.com/hooks/penstock"], description=_URL)
    headers: dict[str, str] = _HEADERS


class WebhookChange(BaseModel):
    """What of the webhook is to change: one of the two at least."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    url: str = Field(default="", json_schema_extra=without_default, description=_URL)
    headers: dict[str, str] = _HEADERS


class Workflow(BaseModel):
    """Events of a name are sent to an endpoint, signed as Standard Webhooks are."""

    id: UUID
    name: str = Field(examples=["Tell the CRM"])
    enabled: bool
    status: Literal["active", "failing", "disabled"] = Field(
        description="`failing` where a delivery was given up since one succeeded, `disabled` where it is switched off "
        "or the endpoint answered that it is gone (410). Any change of the workflow begins anew."
    )
    trigger: Trigger
    webhook: Webhook
    createdAt: str = Field(examples=["2026-11-23T07:00:00.000Z"])  # noqa: N815
    updatedAt: str = Field(examples=["2026-11-23T07:00:00.000Z"])  # noqa: N815


class MadeWorkflow(Workflow):
    """The same once it is made, with its secret, which no later answer has."""

    secret: str = Field(examples=["whsec_…"], description="Signs deliveries. Keep it: it is shown this once.")


class WorkflowsPage(BaseModel):
    """A page of workflows, newest first."""

    workflows: list[Workflow]
    cursor: str | None = Field(description=_CURSOR)


class RotatedSecret(BaseModel):
    """The new secret; the former one signs beside it for 24 hours more."""

    secret: str = Field(examples=["whsec_…"], description="Keep it: it is shown this once.")


class NewWorkflow(BaseModel):
    """A workflow to be made. Members that are not named here are ignored."""

    name: str = Field(**_TITLE, examples=["Tell the CRM"], description="Kept as it is; not only blanks.")
    enabled: bool = True
    trigger: Trigger
    webhook: Webhook


class WorkflowChange(BaseModel):
    """What of a workflow is to change: one of these at least. Members that are not named here are ignored."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: str = Field(default="", json_schema_extra=without_default, **_TITLE)
    enabled: bool = Field(default=True, json_schema_extra=without_default)
    trigger: Trigger = Field(
        default=Trigger(eventName="x"),
        json_schema_extra=without_default,
        description="Replaces the former one as a whole.",
    )
    webhook: WebhookChange = Field(
        default=WebhookChange(), json_schema_extra=without_default, description="What is not named in it stays."
    )


class User(BaseModel):
    """A segment or a workflow that uses something."""

    id: UUID
    name: str


class Usage(BaseModel):
    """What uses the events of a name, and how many there are."""

    usedInSegments: list[User] = Field(description="Their condition asks for such events.")  # noqa: N815
    usedInWorkflows: list[User] = Field(  # noqa: N815
        description="They are triggered by such events, or their condition asks for them."
    )
    totalCount: int  # noqa: N815
    uniqueContacts: int = Field(description="How many contacts have such events.")  # noqa: N815
    canDelete: bool = Field(  # noqa: N815
        description="Whether `DELETE /events/{eventName}` would be taken: nothing uses it, and it is no system event."
    )
