"""`python -m tests.chaos`: one run, or one of each form; exit code 1 where anything differs."""

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.chaos.options import FORMS, Options
from tests.chaos.report import Report
from tests.chaos.run import run
from tests.support.services import ServiceUnavailable


def parser() -> argparse.ArgumentParser:
    """The options. What they default to is in `Options`."""
    made = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    made.add_argument("--form", choices=[*FORMS, "both"], default="both", help="default: both, one after the other")
    made.add_argument("--seed", default=secrets.token_hex(4), help="repeats a run's decisions; default: a new one")
    made.add_argument("--minutes", type=float, help="the longest time under load; default 5, with a goal none")
    made.add_argument("--events", type=int, help="goal: acknowledged events")
    made.add_argument("--kills", type=int, help="goal: kill -9 of anything")
    made.add_argument("--rate", type=float, default=Options.rate, help="events per second to aim at (%(default)s)")
    made.add_argument("--workers", type=int, default=Options.workers, help="clients at once (%(default)s)")
    made.add_argument("--consumers", type=int, default=Options.consumers, help="`consume` processes (%(default)s)")
    made.add_argument(
        "--fault-every", type=float, default=Options.fault_every_seconds, metavar="SECONDS", help="mean (%(default)s)"
    )
    made.add_argument("--at-once", type=int, default=Options.faults_at_once, help="things broken at once (%(default)s)")
    made.add_argument(
        "--break", dest="breaks", action="append", default=[], metavar="KIND", help="only such targets; may be repeated"
    )
    made.add_argument("--no-deletes", dest="deletes", action="store_false", default=None, help="delete no names")
    made.add_argument("--require-verify", action="store_true", help="fail where `penstock verify` does not exist")
    made.add_argument("--directory", type=Path, help="new directory for all data; default: a temporary one")
    made.add_argument("--keep", action="store_true", help="keep the directory also where everything agrees")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the summaries there")
    return made


def options_of(arguments: argparse.Namespace, form: str, directory: Path) -> Options:
    """A run's options."""
    has_goal = arguments.events is not None or arguments.kills is not None
    return Options(
        form=form,
        seed=arguments.seed,
        minutes=arguments.minutes or (24 * 60 if has_goal else Options.minutes),
        events=arguments.events,
        kills=arguments.kills,
        breaks=tuple(arguments.breaks),
        rate=arguments.rate,
        workers=arguments.workers,
        consumers=arguments.consumers,
        fault_every_seconds=arguments.fault_every,
        faults_at_once=arguments.at_once,
        deletes=arguments.deletes,
        require_verify=arguments.require_verify,
        directory=directory,
    )


def main() -> None:
    """Runs, prints, exits."""
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended on the way out
    forms = FORMS if arguments.form == "both" else (arguments.form,)
    base = arguments.directory or Path(tempfile.mkdtemp(prefix="penstock-chaos-"))
    reports: list[Report] = []
    try:
        for form in forms:
            reports.append(_run_in(options_of(arguments, form, base / form), keep=arguments.keep))
    except ServiceUnavailable as missing:
        sys.exit(str(missing))
    finally:
        _write(arguments.json, reports)
    sys.exit(0 if all(report.ok for report in reports) else 1)


def _run_in(options: Options, *, keep: bool) -> Report:
    options.directory.mkdir(parents=True)
    report = run(options, _say)
    _say(report.text())
    if report.ok and not keep:
        shutil.rmtree(options.directory)
        with suppress(OSError):  # the other form's may be there
            options.directory.parent.rmdir()
    return report


def _say(text: str) -> None:
    print(text, flush=True)


def _write(file: Path | None, reports: list[Report]) -> None:
    if file:
        file.write_text(json.dumps([one.as_json() for one in reports], indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
