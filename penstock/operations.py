"""The operations that commands can ask for, by name: stages' functions, with arguments and results as JSON."""

from dataclasses import asdict
from typing import Any

from consumers.rebuild import Rebuild
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


OPERATIONS: Operations = {"rebuild": _rebuild}
