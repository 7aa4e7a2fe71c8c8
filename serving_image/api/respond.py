"""Turns pieces into a response: events while they come, or one body at the end; stops when the client is gone.

Called by the routes of answers.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from serving_image.api.refusals import Refusal, crashed

Result = TypeVar("Result")
Event = Mapping[str, Any] | str  # a string goes out as it is
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
CLIENT_GONE = 499  # nginx's status for it; nobody reads it but the log


class EventStream(Response):
    """Server-sent events. The first is computed before the status goes out, so that a refusal has its own status.

    `named` events have their type as the event's name, and no "[DONE]" after the last one.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[Event], write_timeout: float, *, named: bool = False) -> None:
        super().__init__()
        self._named = named
        self._events = events
        self._write_timeout = write_timeout
        self._writing_since = 0.0  # 0: not writing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until they end, the client leaves, or does not read for too long."""
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = [asyncio.ensure_future(_gone(receive))]
        if self._write_timeout:
            leaving.append(asyncio.ensure_future(self._stuck()))
        try:
            await asyncio.wait({sending, *leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, *leaving):
                task.cancel()
            await asyncio.gather(sending, *leaving, return_exceptions=True)
            await self._events.aclose()  # type: ignore[attr-defined]

    async def _send_all(self, send: Send) -> None:
        headers = [*self.raw_headers, (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        headers = [(name, value) for name, value in headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for event in self._events:
                await self._write(send, event)
        except Refusal as refusal:
            await self._write(send, refusal.body())
        except Exception as error:
            await self._write(send, crashed(error).body())
        if not self._named:
            await self._write(send, "[DONE]")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send, event: Event) -> None:
        text = event if isinstance(event, str) else _json(event)
        name = f"event: {event.get('type', 'error')}\n" if self._named and not isinstance(event, str) else ""
        message = {"type": "http.response.body", "body": f"{name}data: {text}\n\n".encode(), "more_body": True}
        self._writing_since = time.monotonic()
        await send(message)
        self._writing_since = 0.0

    async def _stuck(self) -> None:
        """Ends when nobody reads for too long; one watch beside the writes costs less than a timer for each."""
        while True:
            now = time.monotonic()
            left = self._write_timeout - (now - (self._writing_since or now))
            if left <= 0:
                return
            await asyncio.sleep(left)


async def stream(
    request: Request, events: AsyncIterator[Event], write_timeout: float, *, named: bool = False
) -> EventStream:
    """The response, after its first event is known."""
    first = await while_connected(request, lambda: anext(events))

    async def all_events() -> AsyncIterator[Event]:
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    return EventStream(all_events(), write_timeout, named=named)


async def while_connected(request: Request, work: Callable[[], Awaitable[Result]]) -> Result:
    """The result of `work`, which is cancelled when the client goes away."""
    working = asyncio.ensure_future(work())
    leaving = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Refusal(CLIENT_GONE, "the client went away")
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()
        await asyncio.gather(leaving, working, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
