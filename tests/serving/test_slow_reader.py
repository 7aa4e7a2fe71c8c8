"""A client that leaves its stream unread loses it: its place is for those who read.

On the protocol of uvicorn, whose `send` waits while a client's buffers are full; a kernel's buffers take megabytes.
"""

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Message

from serving_image.api.respond import EventStream


async def until_closed(write_timeout: float) -> bool:
    """True once the stream's answer was given up."""
    never, closed = asyncio.Event(), asyncio.Event()

    async def events() -> AsyncIterator[dict[str, int]]:
        try:
            while True:
                yield {"token": 1}
        finally:
            closed.set()

    async def receive() -> Message:
        await never.wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await never.wait()

    serving = asyncio.create_task(EventStream(events(), write_timeout)({}, receive, send))
    try:
        await asyncio.wait_for(asyncio.shield(serving), 3)
    except TimeoutError:
        serving.cancel()
        return False
    return closed.is_set()


def test_a_stream_that_is_not_read_is_given_up_after_the_limit():
    assert asyncio.run(until_closed(0.2))


def test_without_a_limit_it_is_kept():
    assert not asyncio.run(until_closed(0))
