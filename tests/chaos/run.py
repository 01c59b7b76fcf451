"""One run of one form: start, load and faults, mend, compare, report."""

import asyncio
import time
from collections.abc import Callable

import httpx

from tests.chaos.faults import Faults
from tests.chaos.load import Worker
from tests.chaos.options import Options
from tests.chaos.proof import prove
from tests.chaos.report import Report, progress
from tests.chaos.scene import Scene
from tests.chaos.stage import Stage, opened
from tests.chaos.verify import verify

Say = Callable[[str], None]

_CATCH_UP_SECONDS = 60.0


def run(options: Options, say: Say) -> Report:
    """Runs; what was wrong is in the report."""
    say(f"{options.form}: seed {options.seed}, in {options.directory}")
    with opened(options) as stage:
        return _Run(options, stage, say).go()


class _Run:
    """A run on a deployment that has started."""

    def __init__(self, options: Options, stage: Stage, say: Say) -> None:
        self._options, self._stage, self._say = options, stage, say
        self._report = Report(options.form, options.seed, directory=str(options.directory))

    def go(self) -> Report:
        """See `run`."""
        asyncio.run(self._under_load())
        self._say("mended; waiting until nothing moves any more")
        scene, report = self._scene, self._report
        prove(scene, self._options, self._faults.measures, self._say)
        report.verify = verify(self._stage, scene.complaints, required=self._options.require_verify)
        report.complaints, report.complaint_texts = dict(scene.complaints.counts), scene.complaints.texts
        report.measures, report.exits = self._faults.measures.summary(), self._faults.exits
        report.ok = not scene.complaints
        return report

    # --- load

    async def _under_load(self) -> None:
        self._scene = scene = self._make_scene()
        self._faults = Faults(self._stage, self._options, scene.complaints, self._catch_up)
        workers = [
            Worker(number, scene, self._options.random(f"worker {number}")) for number in range(self._options.workers)
        ]
        started = time.monotonic()
        loads = [asyncio.create_task(worker.run()) for worker in workers]
        self._faults.start()
        try:
            await self._until_done(started, loads)
        finally:
            scene.stopping.set()
            self._note_load(time.monotonic() - started)
            await asyncio.to_thread(self._faults.heal)
        await self._finish(loads)

    def _make_scene(self) -> Scene:
        deployment, options = self._stage.deployment, self._options
        projects = [deployment.create_project() for _ in range(options.projects)]
        urls = deployment.ingest_urls, deployment.query_url
        scene = Scene(projects, *urls, rate=options.rate, workers=options.workers)
        scene.delete_url = "" if options.deletes is False else _delete_url(scene)
        if options.deletes and not scene.delete_url:
            scene.complaints.add("deletes", "this penstock has no DELETE /events/{eventName}")
        self._report.deletes = f"through {scene.delete_url}" if scene.delete_url else "none: switched off, or no route"
        return scene

    async def _until_done(self, started: float, loads: list[asyncio.Task[None]]) -> None:
        """Until the goals are reached, the time is over, or a worker failed."""
        told, before = started, 0
        while (now := time.monotonic()) - started < 60 * self._options.minutes:
            acknowledged = self._scene.ledger.acknowledged
            if self._options.is_done(acknowledged, self._faults.kills) or any(load.done() for load in loads):
                return
            if now - told >= self._options.progress_seconds:
                self._tell(now - started, (acknowledged - before) / (now - told))
                told, before = now, acknowledged
            await asyncio.sleep(0.1)

    def _tell(self, seconds: float, rate: float) -> None:
        faults, complaints = self._faults, sum(self._scene.complaints.counts.values())
        acknowledged, broken = self._scene.ledger.acknowledged, faults.broken()
        counts = faults.counts.copy()
        self._say(progress(seconds, acknowledged, rate=rate, faults=counts, broken=broken, complaints=complaints))

    def _note_load(self, seconds: float) -> None:
        report, acknowledged = self._report, self._scene.ledger.acknowledged
        report.seconds_of_load = round(seconds, 1)
        report.acknowledged_per_second = round(acknowledged / seconds, 1)

    async def _finish(self, loads: list[asyncio.Task[None]]) -> None:
        """What has a key is sent until it is acknowledged; all is well by now."""
        scene, report = self._scene, self._report
        _, late = await asyncio.wait(loads, timeout=_CATCH_UP_SECONDS)
        if late:
            scene.complaints.add("never acknowledged", f"{len(late)} workers wait although everything is mended")
            scene.closed.set()
        await asyncio.gather(*loads)
        await scene.requests.close()
        report.acknowledged, report.maybe = scene.ledger.acknowledged, len(scene.ledger) - scene.ledger.acknowledged
        report.did = dict(sorted(scene.did.items()))
        report.requests_lost, report.answers_503 = scene.requests.lost, scene.requests.unavailable
        report.kills, report.client_cpu_seconds = self._faults.kills, round(time.process_time(), 1)
        report.faults = {f"{action} {kind}": number for (kind, action), number in sorted(self._faults.counts.items())}

    def _catch_up(self) -> float | None:
        """Seconds until what was acknowledged last can be read; called in the threads of the faults."""
        headers = self._scene.projects[0].reading | {"X-After-Position": self._scene.position}
        started = time.monotonic()
        while (seconds := time.monotonic() - started) < _CATCH_UP_SECONDS and not self._scene.stopping.is_set():
            try:
                answer = httpx.get(
                    f"{self._scene.query_url}/events/names", headers=headers, timeout=10, trust_env=False
                )
            except httpx.HTTPError:
                continue
            if answer.status_code == 200:
                return time.monotonic() - started
            time.sleep(0.05)
        return seconds if seconds >= _CATCH_UP_SECONDS else None


def _delete_url(scene: Scene) -> str:
    """Where names can be deleted: at the query API, or at ingest."""
    for url in (scene.query_url, *scene.ingest_urls[:1]):
        answer = httpx.delete(f"{url}/events/nothing", headers=scene.projects[0].reading, timeout=30, trust_env=False)
        if answer.status_code not in (404, 405):
            return url
    return ""
