"""The operations that commands can ask for, by name: stages' functions, with arguments and results as JSON."""

from typing import Any

import msgspec

from consumers.verification import verify
from penstock.operating import Arguments, Operations, Report, Workplace


def _verify(workplace: Workplace, _: Arguments, report: Report) -> dict[str, Any]:
    found = verify(workplace.log, workplace.generations.live(), report)
    return dict(msgspec.to_builtins(found))


OPERATIONS: Operations = {"verify": _verify}
