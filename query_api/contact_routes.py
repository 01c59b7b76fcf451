"""The routes of contacts: request to parameters, wait where asked to, answer. Thin on purpose."""

from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Request, Response

from penstock.errors import NotFound, ValidationFailed
from query_api import contact_answers, documentation
from query_api.access import Access, answered, written
from query_api.bodies import Bodies
from query_api.changing import Changer
from query_api.contact_params import Change, change_request, contacts_request
from query_api.contact_results import PENDING
from query_api.fields import Fields
from query_api.reader import Reader
from query_api.registering import Route, router_of
from schemas.wire_reads import Contact, ContactsPage


@dataclass(frozen=True, slots=True)
class _Contacts:
    """The handlers, one per route."""

    access: Access
    reader: Reader
    changer: Changer
    bodies: Bodies

    async def list_contacts(self, request: Request) -> Response:
        """By address. Follow `cursor` to its end to visit every contact exactly once, also while new ones arrive."""
        project_id, fields = self.access.open(request)
        asked = contacts_request(fields)
        age_ms = await self.access.age_of_view(fields)
        work = partial(contact_answers.contacts, self.reader, project_id, asked)
        return answered(await self.reader.run(project_id, work), age_ms)

    async def get_contact(self, request: Request) -> Response:
        """What is known of the contact, folded from everything that was tracked and changed."""
        project_id, fields = self.access.open(request, request.path_params)
        contact_id = fields.uuid("id")
        age_ms = await self.access.age_of_view(fields)
        try:
            work = partial(contact_answers.contact, self.reader, project_id, contact_id)
            return answered(await self.reader.run(project_id, work), age_ms)
        except NotFound as missing:
            missing.headers["X-Data-Age-Ms"] = str(age_ms)
            raise

    async def change_contact(self, request: Request) -> Response:
        """Merges `data` into the contact as a track does, and sets `subscribed`; a change of it emits its event.

        Answers the contact as it is then. 202 says that the change will happen, but is not visible within 5 seconds.
        """
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        contact_id = fields.uuid("id")
        change = _change(await self.bodies.read(request), fields)
        changed = await self.changer.change(principal.project_id, contact_id, change)
        if changed.contact is None:
            return written(PENDING, 202, changed.position)
        return written(changed.contact, position=changed.position)

    async def erase_contact(self, request: Request) -> Response:
        """Removes the contact and its events from every read, for good; a later track of the address starts anew.

        Answers when it is done. 202 says that it will be, but not within 10 seconds.
        """
        principal = self.access.writer(request)
        fields = Fields(request.path_params)
        contact_id = fields.uuid("id")
        fields.finish()
        erased = await self.changer.erase(principal.project_id, contact_id)
        if not erased.is_done:
            return written(PENDING, 202, erased.position)
        return written(None, 204, erased.position)


def _change(body: bytes, fields: Fields) -> Change:
    """The body's change; what is wrong with it is told together with what is wrong with the path."""
    change = Change(None, "")
    try:
        change = change_request(body)
    except ValidationFailed as error:
        for problem in error.field_errors:
            fields.wrong(problem.field, problem.message, problem.code)
    fields.finish()
    return change


def _routes(contacts: _Contacts) -> list[Route]:
    return [
        Route("/contacts", contacts.list_contacts, "List contacts", ContactsPage, documentation.CONTACTS),
        Route(
            "/contacts/{id}",
            contacts.get_contact,
            "Get a contact",
            Contact,
            documentation.ONE_CONTACT,
            responses=documentation.FOUND,
        ),
        Route(
            "/contacts/{id}",
            contacts.change_contact,
            "Change a contact",
            Contact,
            documentation.CONTACT_CHANGE,
            "PATCH",
            documentation.CHANGED,
            body=documentation.CHANGE_BODY,
        ),
        Route(
            "/contacts/{id}",
            contacts.erase_contact,
            "Erase a contact",
            None,
            documentation.CONTACT_ERASURE,
            "DELETE",
            documentation.ERASED,
            status=204,
        ),
    ]


def contact_routes(access: Access, reader: Reader, changer: Changer, bodies: Bodies) -> APIRouter:
    """The routes under `/contacts`, see `router_of`; `bodies` reads changes."""
    contacts = _Contacts(access, reader, changer, bodies)
    return router_of(_routes(contacts), "contacts", is_limited=access.limit is not None)
