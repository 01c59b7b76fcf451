"""Breaks things while the load runs, some at the same time, and mends each after a while."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.complaints import Complaints
from tests.chaos.measures import Measures
from tests.chaos.options import Options
from tests.chaos.plan import Action, Fault, faults
from tests.chaos.stage import Stage, Target

_READY_SECONDS = 180.0

CatchUp = Callable[[], float | None]
"""Returns the seconds until what is acknowledged by now can be read; None where it gave up."""


class Faults:
    """See the module."""

    def __init__(self, stage: Stage, options: Options, complaints: Complaints, catch_up: CatchUp) -> None:
        self._stage, self._options, self._complaints, self._catch_up = stage, options, complaints, catch_up
        self.measures = Measures()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.exits: list[str] = []
        self._stopping = threading.Event()
        self._free = threading.Semaphore(options.faults_at_once)
        self._pool = ThreadPoolExecutor(2 * options.faults_at_once, thread_name_prefix="fault")
        self._thread = threading.Thread(target=self._run, name="faults")

    @property
    def kills(self) -> int:
        """How many SIGKILLs there were."""
        return sum(number for (_, action), number in self.counts.copy().items() if action == Action.KILL)

    def broken(self) -> list[str]:
        """What a fault is under way at."""
        return [target.name for target in self._stage.targets if target.busy.locked()]

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def heal(self) -> None:
        """No more faults; those under way are mended, and all is ready."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown()
        for target in self._stage.targets:
            self._mend(target)

    # --- one after the other, as planned

    def _run(self) -> None:
        breaks = self._options.breaks
        names = [target.name for target in self._stage.targets if not breaks or target.kind in breaks]
        for fault in faults(self._options.random("faults"), names, self._options):
            if self._stopping.wait(fault.after_seconds):
                return
            self._revive()
            target = self._stage.target(fault.target)
            target.busy.acquire()
            self._free.acquire()
            self._pool.submit(self._complete, target, fault)

    def _complete(self, target: Target, fault: Fault) -> None:
        try:
            self._break(target, fault)
        except Exception as error:  # noqa: BLE001 - nobody awaits it: it becomes a complaint
            self._complaints.add("fault not mended", f"{fault}: {error!r}")
        finally:
            target.busy.release()
            self._free.release()
        if fault.measured and (seconds := self._catch_up()) is not None:
            self.measures.add(
                f"reads caught up after {target.kind} {fault.action}", seconds, self._broken_beside(target)
            )

    def _break(self, target: Target, fault: Fault) -> None:
        self.counts[target.kind, str(fault.action)] += 1
        _ACT[fault.action](self, target)
        self._stopping.wait(fault.seconds)
        if fault.action is Action.PAUSE:
            target.what.resume()
        if not fault.patient:
            self._start(target)
        elif (seconds := self._mend(target)) is not None:
            self.measures.add(f"{target.kind} ready after {fault.action}", seconds, self._broken_beside(target))

    def _broken_beside(self, target: Target) -> str:
        names = [name for name in self.broken() if name != target.name]
        return f"{' and '.join(names)} broken too" if names else "nothing else broken"

    # --- the faults

    def _kill(self, target: Target) -> None:
        target.what.kill()  # does nothing to one that has ended by itself

    def _pause(self, target: Target) -> None:
        target.what.pause()

    def _terminate(self, target: Target) -> None:
        lives, started = target.lives(), time.monotonic()
        code = target.terminate() if target.what.running else 0
        seconds = time.monotonic() - started
        if target.is_ours and lives:
            self.measures.add(f"{target.kind} ended after SIGTERM", seconds, self._broken_beside(target))
            if code != 0 or seconds > self._options.exit_seconds:
                self._complaints.add("SIGTERM", f"{target.name} ended with {code} after {seconds:.1f} s")

    # --- mending

    def _mend(self, target: Target) -> float | None:
        """Starts what does not run, again where it ends by itself; the seconds until it was ready."""
        started = time.monotonic()
        self._start(target)
        while time.monotonic() - started < _READY_SECONDS:
            if not target.what.running:
                self._note_exit(target)
                self._start(target)
            if target.becomes_ready(_READY_SECONDS - (time.monotonic() - started)):
                return time.monotonic() - started
        self._complaints.add("not ready", f"{target.name}, {_READY_SECONDS:.0f} s after it was mended")
        return None

    def _start(self, target: Target) -> None:
        if not target.what.running:
            target.what.start()

    def _revive(self) -> None:
        """Starts what ended although nobody broke it, as a supervisor would."""
        for target in self._stage.targets:
            if target.busy.acquire(blocking=False):
                try:
                    if not target.what.running:
                        self._note_exit(target)
                        self._start(target)
                finally:
                    target.busy.release()

    def _note_exit(self, target: Target) -> None:
        lines = target.what.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        self.exits.append(f"{target.name} ended by itself: {lines[-1][:500] if lines else ''}")


_ACT = {Action.KILL: Faults._kill, Action.PAUSE: Faults._pause, Action.TERMINATE: Faults._terminate}
