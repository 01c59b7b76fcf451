"""Breaks things while the load runs, some at the same time, and mends each after a while."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from tests.chaos.complaints import Complaints
from tests.chaos.measures import Measures
from tests.chaos.options import Options
from tests.chaos.plan import Action, Fault, faults
from tests.chaos.stage import Stage, Target

_READY_SECONDS = 180.0
_CONTRACT_EXIT_SECONDS = 10.0
_AT_THE_SAME_TIME = 2


class Faults:
    """See the module. `catch_up` returns the seconds until what is acknowledged by now can be read, None if it gave up."""

    def __init__(
        self, stage: Stage, options: Options, complaints: Complaints, catch_up: Callable[[], float | None]
    ) -> None:
        self._stage, self._options, self._complaints, self._catch_up = stage, options, complaints, catch_up
        self.measures = Measures()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.exits: list[str] = []
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(_AT_THE_SAME_TIME, thread_name_prefix="fault")
        self._free = threading.Semaphore(_AT_THE_SAME_TIME)
        self._thread = threading.Thread(target=self._run, name="faults")

    @property
    def kills(self) -> int:
        """How many SIGKILLs there were."""
        return sum(number for (_, action), number in self.counts.items() if action == Action.KILL)

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
            self._mend(target, "after all faults")

    def _run(self) -> None:
        plan = faults(self._options.random("faults"), [target.name for target in self._stage.targets], self._options)
        for fault in plan:
            if self._stopping.wait(fault.after_seconds):
                return
            self._revive()
            target = self._stage.target(fault.target)
            target.busy.acquire()
            self._free.acquire()
            self._pool.submit(self._safely, target, fault)

    def _safely(self, target: Target, fault: Fault) -> None:
        try:
            self._break(target, fault)
        except Exception as error:  # noqa: BLE001 - nobody awaits it: it becomes a complaint
            self._complaints.add("fault not mended", f"{fault}: {error!r}")
        finally:
            target.busy.release()
            self._free.release()

    def _break(self, target: Target, fault: Fault) -> None:
        self.counts[target.kind, str(fault.action)] += 1
        _ACT[fault.action](self, target)
        self._stopping.wait(fault.seconds)
        if fault.action is Action.PAUSE:
            target.what.resume()
        self._mend(target, f"after {fault.action}")
        if fault.measured and (seconds := self._catch_up()) is not None:
            self.measures.add(
                f"{target.kind} mended after {fault.action}: reads caught up", seconds, self._beside(target)
            )

    def _kill(self, target: Target) -> None:
        target.what.kill()

    def _pause(self, target: Target) -> None:
        target.what.pause()

    def _terminate(self, target: Target) -> None:
        started = time.monotonic()
        code = target.terminate()
        seconds = time.monotonic() - started
        if target.is_ours:
            self.measures.add(f"{target.kind} ended after SIGTERM", seconds, f"exit code {code}")
            if code != 0 or seconds > _CONTRACT_EXIT_SECONDS:
                self._complaints.add("SIGTERM", f"{target.name} ended with {code} after {seconds:.1f} s")

    def _beside(self, target: Target) -> str:
        """What else is broken right now."""
        return " and ".join(f"{name} broken" for name in self.broken() if name != target.name) or "nothing else broken"

    def _mend(self, target: Target, case: str) -> None:
        """Running and ready; a process that ends by itself meanwhile is started again, as a supervisor would."""
        deadline = time.monotonic() + _READY_SECONDS
        for attempt in count():
            started = time.monotonic()
            if not target.what.running:
                self._note_exit(target, attempt)
                target.what.start()
            if target.wait_ready(deadline - time.monotonic()) is not None:
                self.measures.add(f"{target.kind} ready {case}", time.monotonic() - started, self._beside(target))
                return
            if time.monotonic() > deadline:
                self._complaints.add("not ready", f"{target.name} {case}, {_READY_SECONDS:.0f} s")
                return

    def _note_exit(self, target: Target, attempt: int) -> None:
        if attempt:
            self.exits.append(f"{target.name} ended by itself while it started")

    def _revive(self) -> None:
        """Starts what ended although nobody broke it."""
        for target in self._stage.targets:
            if target.busy.acquire(blocking=False):
                try:
                    if not target.what.running:
                        self.exits.append(f"{target.name} ended by itself: {_last_line(target)}")
                        self._mend(target, "after an end by itself")
                finally:
                    target.busy.release()


_ACT = {Action.KILL: Faults._kill, Action.PAUSE: Faults._pause, Action.TERMINATE: Faults._terminate}


def _last_line(target: Target) -> str:
    lines = target.what.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1][:500] if lines else ""
