"""The threads that make deliveries beside a writer: one plans, one has an event loop that sends."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog

from consumers.loop import step_back
from consumers.repeating import Repeating
from consumers.webhooks.dispatching import Dispatcher, look_again_and_again
from consumers.webhooks.following import Following
from consumers.webhooks.place import Workplace
from consumers.webhooks.planning import Due
from consumers.webhooks.sending import Sender, trusted
from penstock.destinations import Destinations
from penstock.errors import Unavailable
from penstock.settings import Webhooks

_OFFER_SECONDS = 0.1
"""How often it is looked which retries are due."""

_UNDER_WAY_SECONDS = 2.0
_STOP_SECONDS = 4.0
_BLOCKING_THREADS = 4

_log = structlog.get_logger(__name__)


class WebhookService:
    """See the module.

    Raises:
        StartError: the settings name a file of certificates that cannot be read.
    """

    def __init__(self, place: Workplace, settings: Webhooks) -> None:
        self._place = place
        self._settings = settings
        self._trust = trusted(settings.ca_file)
        self._loop = asyncio.new_event_loop()
        self._stop_sending = asyncio.Event()
        self._dispatcher: Dispatcher | None = None
        self._following = Following(place, self._hand_over)
        self._planning = Repeating("webhooks-plan", self._await_more, self._plan)
        self._thread = threading.Thread(target=self._run, name="webhooks-send", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()
        self._planning.start()

    def stop(self) -> None:
        """Ends both; what is not sent is sent by who comes next."""
        self._planning.stop()
        self._loop.call_soon_threadsafe(self._stop_sending.set)
        self._thread.join(_STOP_SECONDS)

    def _await_more(self) -> None:
        stored = self._place.stored.through()
        if not self._following.is_behind(stored):
            self._place.stored.wait(stored, 0.5)

    def _plan(self) -> None:
        stored = self._place.stored.through()
        if self._place.registry.is_complete and self._following.is_behind(stored):
            self._following.step(stored)

    def _hand_over(self, due: Sequence[Due]) -> None:
        """What is not taken here, as the loop does not run, is in the tables."""
        dispatcher = self._dispatcher
        if due and dispatcher is not None:
            self._loop.call_soon_threadsafe(dispatcher.take, due)

    def _run(self) -> None:
        step_back()
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._send())
        except Exception:
            _log.exception("webhooks are not sent any more")
            raise

    async def _send(self) -> None:
        place, settings = self._place, self._settings
        destinations = Destinations(settings.allowed_addresses, settings.allowed_ports)
        sender = Sender(settings, destinations, self._trust)
        with ThreadPoolExecutor(_BLOCKING_THREADS, thread_name_prefix="webhooks") as pool:
            in_thread = partial(_in_thread, pool)
            dispatcher = self._dispatcher = Dispatcher(place, settings, sender, in_thread)
            tasks = [
                asyncio.create_task(dispatcher.journal.run()),
                asyncio.create_task(look_again_and_again(dispatcher, _note)),
                asyncio.create_task(_offer_again_and_again(dispatcher)),
            ]
            await self._stop_sending.wait()
            self._dispatcher = None
            await dispatcher.close(_UNDER_WAY_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await sender.close()


async def _offer_again_and_again(dispatcher: Dispatcher) -> None:
    while True:
        dispatcher.offer()
        await asyncio.sleep(_OFFER_SECONDS)


async def _in_thread(pool: ThreadPoolExecutor, work: Any, *args: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, work, *args)


def _note(error: Exception) -> None:
    if isinstance(error, Unavailable):
        _log.warning("deliveries will be looked up later", reason=error.message)
    else:
        _log.error("deliveries not looked up", exc_info=error)
