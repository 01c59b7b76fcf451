"""Whether what is asked for can stand, beside what the registry has. Pure."""

from collections.abc import Iterable

from penstock.conditions.kept import kept_condition
from penstock.errors import FieldError, ValidationFailed
from penstock.registry import Registry
from query_api.matching_queries import is_answerable
from query_api.references import reference_errors


def expect_sound(
    problems: Iterable[FieldError],
    condition: str | None,
    path: str,
    registry: Registry,
    project_id: str,
    *,
    own_id: str,
) -> None:
    """Returns where nothing is wrong.

    Args:
        problems: what is wrong already.
        condition: its text; "" or None where there is none to be checked.
        path: of the condition, in errors.
        own_id: of the segment whose condition it is to be; "" for others.

    Raises:
        ValidationFailed: with everything that is wrong.
    """
    wrong = [*problems, *reference_errors(condition or "", path, registry, project_id, own_id)]
    if not wrong and condition and not is_answerable(registry, project_id, kept_condition(condition)):
        message = "With all that it refers to it is too long to be answered: use fewer filters, or shorter paths"
        wrong.append(FieldError(path, message, "too_big"))
    if wrong:
        raise ValidationFailed(wrong)
