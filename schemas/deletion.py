"""The deletion of all events of a name: a fact in the log, as events are.

A record of its own goes to every partition. In each it removes what stands before it, so that events behind it count
anew and a replay of the log comes to the same tables.
"""

import msgspec


class Deletion(msgspec.Struct, frozen=True, gc=False):
    """What is deleted.

    Attributes:
        id: a UUID; the same in every partition.
        project_id: whose events.
        name: all events of this name.
    """

    id: str
    project_id: str
    name: str


encode_deletion = msgspec.json.Encoder().encode
decode_deletion = msgspec.json.Decoder(Deletion).decode
