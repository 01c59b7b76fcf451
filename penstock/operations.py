"""The operations that commands can ask for, by name: stages' functions, with arguments and results as JSON."""

from dataclasses import asdict
from typing import Any

import msgspec

from consumers.rebuild import Rebuild
from consumers.verification import verify
from penstock.clock import SystemClock
from penstock.operating import Arguments, Operations, Report, Workplace


def _rebuild(workplace: Workplace, arguments: Arguments, report: Report) -> dict[str, Any]:
    rebuild = Rebuild(
        workplace.settings.writer,
        log=workplace.log,
        generations=workplace.generations,
        clock=SystemClock(),
        report=report,
    )
    return asdict(rebuild.run(arguments.get("only")))


def _verify(workplace: Workplace, _: Arguments, report: Report) -> dict[str, Any]:
    found = verify(workplace.log, workplace.generations.live(), report)
    return dict(msgspec.to_builtins(found))


OPERATIONS: Operations = {"rebuild": _rebuild, "verify": _verify}
