"""The routes of workflows: request to parameters, wait where asked to, answer. Thin on purpose."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from query_api import registry_documentation as documentation
from query_api.access import Access, aged, answered, written
from query_api.bodies import Bodies
from query_api.fields import Fields
from query_api.paging import page_of, page_request
from query_api.registering import Route, router_of
from query_api.registrar import Registrar
from query_api.workflow_params import CheckUrl, new_workflow, workflow_change
from query_api.workflow_results import made_body, rotated_body, workflow_body, workflows_body
from query_api.workflows import Workflows, known_workflow
from schemas.registry import WorkflowState
from schemas.wire_registry import MadeWorkflow, RotatedSecret, Workflow, WorkflowsPage


@dataclass(frozen=True, slots=True)
class _Workflows:
    """The handlers, one per route."""

    access: Access
    registrar: Registrar
    workflows: Workflows
    bodies: Bodies
    check_url: CheckUrl

    async def list_workflows(self, request: Request) -> Response:
        """Newest first. Follow `cursor` to its end to visit every workflow exactly once."""
        project_id, fields = self.access.open(request)
        asked = page_request(fields, "workflows")
        age_ms = await self.access.age_of_view(fields)
        registry = await self.registrar.read()
        page = page_of(registry.workflows(project_id), asked)
        return answered(workflows_body(page, registry), age_ms)

    async def get_workflow(self, request: Request) -> Response:
        """The workflow, and how its deliveries go; never its secret."""
        project_id, fields = self.access.open(request, request.path_params)
        workflow_id = fields.uuid("id")
        age_ms = await self.access.age_of_view(fields)
        registry = await self.registrar.read()
        with aged(age_ms):
            workflow = known_workflow(registry, project_id, workflow_id)
        return answered(workflow_body(workflow, registry.state_of(workflow)), age_ms)

    async def make_workflow(self, request: Request) -> Response:
        """Every matching event from then on is sent to the endpoint, signed with the `secret` that no later answer has.

        Each delivery is a POST with the headers of Standard Webhooks: `webhook-id`, `webhook-timestamp`,
        `webhook-signature`.
        """
        principal = self.access.writer(request)
        asked = new_workflow(await self.bodies.read(request), self.check_url)
        made = await self.workflows.make(principal.project_id, asked)
        return written(made_body(made), 201)

    async def change_workflow(self, request: Request) -> Response:
        """Merges what is named into the workflow: `trigger` and `webhook.headers` are replaced as a whole.

        Whether it was failing, or its endpoint said that it is gone, counts no more.
        """
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        workflow_id = fields.uuid("id")
        asked = workflow_change(await self.bodies.read(request), self.check_url, fields.problems)
        workflow = await self.workflows.change(principal.project_id, workflow_id, asked)
        state = WorkflowState(workflow.id, workflow.updated_at)
        return written(workflow_body(workflow, state))

    async def remove_workflow(self, request: Request) -> Response:
        """Nothing more is sent for it."""
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        workflow_id = fields.uuid("id")
        fields.finish()
        await self.workflows.remove(principal.project_id, workflow_id)
        return written(None, 204)

    async def rotate_secret(self, request: Request) -> Response:
        """A new secret, which only this answer has. The former one signs beside it for 24 hours; older ones no more."""
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        workflow_id = fields.uuid("id")
        fields.finish()
        workflow = await self.workflows.rotate(principal.project_id, workflow_id)
        return written(rotated_body(workflow))


def _routes(workflows: _Workflows) -> list[Route]:
    one = "/workflows/{id}"
    return [
        Route("/workflows", workflows.list_workflows, "List workflows", WorkflowsPage, documentation.WORKFLOWS),
        Route(
            "/workflows",
            workflows.make_workflow,
            "Make a workflow",
            MadeWorkflow,
            documentation.MAKING,
            "POST",
            documentation.MADE,
            201,
            documentation.NEW_WORKFLOW,
        ),
        Route(
            one,
            workflows.get_workflow,
            "Get a workflow",
            Workflow,
            documentation.ONE_WORKFLOW,
            responses=documentation.FOUND,
        ),
        Route(
            one,
            workflows.change_workflow,
            "Change a workflow",
            Workflow,
            documentation.WORKFLOW_CHANGE,
            "PATCH",
            documentation.CHANGED,
            body=documentation.WORKFLOW_BODY,
        ),
        Route(
            one,
            workflows.remove_workflow,
            "Delete a workflow",
            None,
            documentation.WORKFLOW_ALONE,
            "DELETE",
            documentation.REMOVED,
            204,
        ),
        Route(
            f"{one}/secret/rotate",
            workflows.rotate_secret,
            "Rotate a workflow's secret",
            RotatedSecret,
            documentation.WORKFLOW_ALONE,
            "POST",
            documentation.ROTATED,
        ),
    ]


def workflow_routes(
    access: Access, registrar: Registrar, workflows: Workflows, bodies: Bodies, check_url: CheckUrl
) -> APIRouter:
    """The routes under `/workflows`, see `router_of`; `bodies` reads what is to be made and changed."""
    handlers = _Workflows(access, registrar, workflows, bodies, check_url)
    return router_of(_routes(handlers), "workflows", is_limited=access.limit is not None)
