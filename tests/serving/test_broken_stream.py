"""A stream that breaks for a reason that nobody foresaw says so in an event, in either form of stream."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from serving_image.api.respond import EventStream


async def sent(named: bool) -> list[str]:
    """The lines of the stream."""
    chunks: list[bytes] = []

    async def events() -> AsyncIterator[dict[str, str]]:
        yield {"type": "first"}
        raise KeyError("unforeseen")

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        chunks.append(message.get("body", b""))

    await EventStream(events(), 5, named=named)({}, receive, send)
    return [line for line in b"".join(chunks).decode().splitlines() if line]


@pytest.mark.parametrize("named", [False, True])
def test_it_is_an_error_event_without_the_details(named: bool):
    lines = [line for line in asyncio.run(sent(named)) if line != "data: [DONE]"]
    error = json.loads(lines[-1].removeprefix("data: "))["error"]
    assert error["type"] == "server_error" and "KeyError" in error["message"] and "unforeseen" not in error["message"]
