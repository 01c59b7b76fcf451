"""The erasure of a contact: a fact in the log, as events are.

A record of its own goes to the contact's partition. It removes the contact and its events as far as they stand before
it, so that a later event of the same address begins anew and a replay of the log comes to the same tables.
"""

import msgspec


class Erasure(msgspec.Struct, frozen=True, gc=False):
    """What is erased.

    Attributes:
        id: a UUID.
        project_id: whose contact.
        contact_id: the contact.
        email: its address, lower case.
    """

    id: str
    project_id: str
    contact_id: str
    email: str


encode_erasure = msgspec.json.Encoder().encode
decode_erasure = msgspec.json.Decoder(Erasure).decode
