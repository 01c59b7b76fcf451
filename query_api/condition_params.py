"""A condition in a body. Pure."""

from penstock.conditions import read_condition
from penstock.errors import ValidationFailed
from query_api.body_members import Members


def condition_text(members: Members, name: str, *, with_trigger: bool = False) -> str | None:
    """The text of the condition in a member, whether it is right or not; "" for null, None where there is no member.

    Args:
        with_trigger: whether it may ask for what the triggering event says.
    """
    text = members.raw(name)
    if text is None:
        return None
    if text == b"null":
        return ""
    try:
        read_condition(text, members.path(name), with_trigger=with_trigger)
    except ValidationFailed as error:
        members.note(error)
    return text.decode()
