"""Threads for what blocks: one for the pipeline's calls, awaited on the event loop; some for inserts side by side.

They are daemons: a call that hangs in a dead connection must not keep the process from ending. Nothing is lost by that,
as what was not finished is found and finished by whoever comes next.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

_Item = TypeVar("_Item")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class CallThread:
    """Calls functions in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._calls.get()()

    async def call(
        self, function: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        """The result of the function, after all that were called before it.

        Cancelled, it waits no longer; the function runs to its end all the same.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()
        self._calls.put(partial(_run_for, future, loop, partial(function, *args, **kwargs)))
        return await future


def _run_for(
    future: "asyncio.Future[_Result]", loop: asyncio.AbstractEventLoop, function: Callable[[], _Result]
) -> None:
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - it belongs to the one who waits
        _tell(loop, partial(_fail, future, error))
    else:
        _tell(loop, partial(_answer, future, result))


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():  # else nobody waits any more
        loop.call_soon_threadsafe(what)


def _answer(future: "asyncio.Future[_Result]", result: _Result) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[_Result]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


class CallThreads:
    """Calls a function for several items side by side."""

    def __init__(self, name: str, threads: int) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._name = name
        self._wanted = threads
        self._started = 0

    def map(self, function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """The result for each item, in their order, when all calls have ended.

        Raises:
            Exception: the first item's whose call failed.
        """
        if len(items) == 1 or self._wanted == 1:
            return [function(item) for item in items]
        self._start(len(items))
        futures: list[Future[_Result]] = [Future() for _ in items]
        for item, future in zip(items, futures, strict=True):
            self._calls.put(partial(_decide, future, partial(function, item)))
        wait(futures)
        return [future.result() for future in futures]

    def _start(self, useful: int) -> None:
        while self._started < min(useful, self._wanted):
            self._started += 1
            threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def close(self) -> None:
        """Ends the threads, once they have done what they were asked."""
        for _ in range(self._started):
            self._calls.put(None)
        self._started = 0


def _decide(future: "Future[_Result]", function: Callable[[], _Result]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - it belongs to the one who waits
        future.set_exception(error)
