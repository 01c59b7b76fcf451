"""The members of a JSON body, read one by one: what is wrong is collected, and told together.

What `query_api.fields` is for parameters. Of a member that comes twice the last counts; unknown ones are ignored.
"""

from collections.abc import Iterable, Mapping

import msgspec

from penstock.errors import FieldError, ValidationFailed
from penstock.members import check_syntax, check_utf8, malformed

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_flag = msgspec.json.Decoder(bool).decode


class Members:
    """The members of an object.

    A reader that finds its member wrong notes that and returns what it returns where the member is absent.

    Args:
        problems: where what is wrong is noted; objects within share it.
        path: what stands before the members' names in errors.
    """

    def __init__(self, members: Mapping[str, msgspec.Raw], problems: list[FieldError], path: str = "") -> None:
        self._members = members
        self.problems = problems
        self._path = path

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def wrong(self, name: str, message: str, code: str) -> None:
        """Notes a problem with a member; `code` is one of Zod's."""
        self.problems.append(FieldError(self._path + name, message, code))

    def note(self, error: ValidationFailed) -> None:
        """Notes what is wrong according to who reads a member's text; the fields are whole paths."""
        self.problems += error.field_errors

    def path(self, name: str) -> str:
        """How errors call the member."""
        return self._path + name

    def require(self, *names: str) -> None:
        """Notes which of the members are missing."""
        for name in names:
            if name not in self:
                self.wrong(name, "Required", "invalid_type")

    def raw(self, name: str) -> bytes | None:
        """The text of its value."""
        return bytes(self._members[name]) if name in self else None

    def text(self, name: str) -> str | None:
        """A string."""
        try:
            return _decode_text(self._members[name]) if name in self else None
        except msgspec.ValidationError:
            self.wrong(name, "Must be a string", "invalid_type")
            return None

    def line(self, name: str, most: int) -> str | None:
        """A string of 1 to `most` characters."""
        text = self.text(name)
        if text == "":
            self.wrong(name, "Must have at least 1 character", "too_small")
        elif text is not None and len(text) > most:
            self.wrong(name, f"Must have at most {most} characters", "too_big")
        else:
            return text
        return None

    def title(self, name: str, most: int) -> str | None:
        """The same, and not only blanks: people tell things by it."""
        text = self.line(name, most)
        if text is not None and text.isspace():
            self.wrong(name, "Must not be blank", "invalid_string")
            return None
        return text

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        try:
            return _decode_flag(self._members[name]) if name in self else None
        except msgspec.ValidationError:
            self.wrong(name, "Must be a boolean", "invalid_type")
            return None

    def object(self, name: str) -> "Members | None":
        """The members of an object; their paths begin with its own."""
        try:
            members = _decode_members(self._members[name]) if name in self else None
        except msgspec.ValidationError:
            self.wrong(name, "Must be an object", "invalid_type")
            return None
        return None if members is None else Members(members, self.problems, f"{self._path}{name}.")

    def names(self) -> list[str]:
        """The names of all members, in their order."""
        return list(self._members)


def read_members(body: bytes, problems: Iterable[FieldError] = ()) -> Members:
    """The members of a body.

    Args:
        problems: what else is wrong with the request; it is told together with what is wrong with the body.

    Raises:
        MalformedBody: not JSON.
        ValidationFailed: JSON, but no object.
    """
    check_utf8(body)
    try:
        return Members(_decode_members(body), [*problems])
    except msgspec.ValidationError as error:
        check_syntax(body)
        no_object = FieldError("body", "Must be a JSON object", "invalid_type")
        raise ValidationFailed([*problems, no_object]) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error, body) from error
