"""Making, changing and removing workflows."""

from uuid import uuid4

from msgspec.structs import replace

from penstock.clock import Clock
from penstock.errors import NotFound
from penstock.registry import Registry
from penstock.webhook_secrets import new_secret
from query_api.ages import changed_at
from query_api.registrar import Registrar
from query_api.soundness import expect_sound
from query_api.workflow_params import WorkflowAsked
from schemas.registry import SigningSecret, Workflow
from schemas.times import to_wire

FORMER_SIGNS_MS = 24 * 60 * 60 * 1000
"""How long a secret signs beside the one that took its place."""


def unknown_workflow(workflow_id: str) -> NotFound:
    """What to say where there is no workflow with this id."""
    return NotFound(f"There is no workflow {workflow_id}")


def known_workflow(registry: Registry, project_id: str, workflow_id: str) -> Workflow:
    """One of a project's workflows.

    Raises:
        NotFound: there is none with this id.
    """
    workflow = registry.workflow(project_id, workflow_id)
    if workflow is None:
        raise unknown_workflow(workflow_id)
    return workflow


class Workflows:
    """See the module. Every call may raise LogUnavailable: then it is not known whether it happened."""

    def __init__(self, registrar: Registrar, clock: Clock) -> None:
        self._registrar = registrar
        self._clock = clock

    async def make(self, project_id: str, asked: WorkflowAsked) -> Workflow:
        """A new workflow, with a secret.

        Raises:
            ValidationFailed: with everything that is wrong.
        """
        async with self._registrar.changing() as registry:
            _expect_sound(registry, project_id, asked)
            now = to_wire(self._clock.now_ms())
            workflow = _made(project_id, asked, now)
            await self._registrar.put(workflow)
        return workflow

    async def change(self, project_id: str, workflow_id: str, asked: WorkflowAsked) -> Workflow:
        """The workflow with what is asked for; what became of its deliveries counts no more.

        Raises:
            ValidationFailed: with everything that is wrong.
            NotFound: there is no such workflow.
        """
        async with self._registrar.changing() as registry:
            _expect_sound(registry, project_id, asked)
            workflow = known_workflow(registry, project_id, workflow_id)
            changed = _changed(workflow, asked, changed_at(workflow.updated_at, self._clock.now_ms()))
            await self._registrar.put(changed)
        return changed

    async def rotate(self, project_id: str, workflow_id: str) -> Workflow:
        """The workflow with a new secret; the former one signs on for a while, older ones no more.

        It is no change of the workflow otherwise: an endpoint that said it is gone stays so.

        Raises:
            NotFound: there is no such workflow.
        """
        async with self._registrar.changing() as registry:
            workflow = known_workflow(registry, project_id, workflow_id)
            end = to_wire(self._clock.now_ms() + FORMER_SIGNS_MS)
            former = replace(workflow.secrets[0], expires_at=end)
            rotated = replace(workflow, secrets=(SigningSecret(new_secret()), former))
            await self._registrar.put(rotated)
        return rotated

    async def remove(self, project_id: str, workflow_id: str) -> None:
        """Removes the workflow, and what became of its deliveries; raises as `rotate` does."""
        async with self._registrar.changing() as registry:
            workflow = known_workflow(registry, project_id, workflow_id)
            await self._registrar.remove(registry.state_of(workflow))  # first: nobody would find it afterwards
            await self._registrar.remove(workflow)


def _expect_sound(registry: Registry, project_id: str, asked: WorkflowAsked) -> None:
    expect_sound(asked.problems, asked.condition, "trigger.condition", registry, project_id, own_id="")


def _made(project_id: str, asked: WorkflowAsked, now: str) -> Workflow:
    """Of a body without problems, which has all that is required."""
    nameless = Workflow(str(uuid4()), project_id, "", True, "", "", (SigningSecret(new_secret()),), now, now)
    return _changed(nameless, asked, now)


def _changed(workflow: Workflow, asked: WorkflowAsked, updated_at: str) -> Workflow:
    return replace(
        workflow,
        name=workflow.name if asked.name is None else asked.name,
        enabled=workflow.enabled if asked.enabled is None else asked.enabled,
        event_name=workflow.event_name if asked.event_name is None else asked.event_name,
        condition=workflow.condition if asked.condition is None else asked.condition,
        url=workflow.url if asked.url is None else asked.url,
        headers=workflow.headers if asked.headers is None else dict(asked.headers),
        updated_at=updated_at,
    )
