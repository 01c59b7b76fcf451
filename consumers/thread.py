"""One thread for what blocks: the pipeline's calls, one after the other, awaited on the event loop.

The thread is a daemon: a call that hangs in a dead connection must not keep the process from ending. Nothing is lost by
that, as what was not finished is found and finished by whoever comes next.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

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
