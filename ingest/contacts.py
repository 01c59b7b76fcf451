"""Whom a contact's id stands for. Ingest keeps no contacts: whoever starts it says who knows them."""

from collections.abc import Collection, Mapping
from typing import Protocol


class ContactDirectory(Protocol):
    """Who knows the contacts; `penstock.contacts.ContactDirectory` is one."""

    async def emails_of(self, project_id: str, contact_ids: Collection[str]) -> Mapping[str, str]:
        """The addresses of a project's contacts, by id; an id that is missing is nobody's.

        Whatever was acknowledged before the call counts.

        Raises:
            Unavailable: that cannot be told now.
        """
        ...
