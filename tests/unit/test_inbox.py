"""What gathers between delivery and the pipeline."""

import asyncio

import pytest

from consumers.inbox import Inbox


def test_what_was_put_is_taken_at_once_in_its_order() -> None:
    async def scenario() -> None:
        inbox: Inbox[int] = Inbox(100)
        await inbox.put([1, 2], 10)
        await inbox.put([3], 5)
        assert inbox.bytes == 15
        assert inbox.take() == [1, 2, 3]
        assert (inbox.bytes, inbox.take()) == (0, [])

    asyncio.run(scenario())


def test_filled_waits_until_something_is_there_again() -> None:
    async def scenario() -> None:
        inbox: Inbox[int] = Inbox(100)
        await inbox.put([1], 1)
        await asyncio.wait_for(inbox.filled(), 5)
        inbox.take()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(inbox.filled(), 0.02)

    asyncio.run(scenario())


def test_put_waits_while_there_is_no_room() -> None:
    async def scenario() -> None:
        inbox: Inbox[int] = Inbox(10)
        await inbox.put([1], 25)  # one that is larger than the room gets in where the inbox is not full
        waiting = asyncio.create_task(inbox.put([2], 1))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        assert inbox.take() == [1]
        await asyncio.wait_for(waiting, 20)
        assert inbox.take() == [2]

    asyncio.run(scenario())
