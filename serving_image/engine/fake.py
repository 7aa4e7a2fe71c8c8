"""An engine without a model: answers with the prompt's own tokens, at a chosen pace. Used by the API's tests alone."""

import asyncio
import time
from collections.abc import AsyncIterator

from serving_image.engine.protocol import Info, State
from serving_image.requests import Progress, Request, Stats, Token
from serving_image.setting_types import AdapterSpec


class FakeEngine:
    """Implements protocol.Engine: `slots` requests run at a time, one token each every `pace_seconds`."""

    def __init__(self, *, slots: int = 4, pace_seconds: float = 0.0, context_tokens: int = 1000) -> None:
        self.state: State = "ready"
        self.info: Info | None = Info(context_tokens, 50_000, "no model")
        self.failure = ""
        self.stats = Stats()
        self.cancelled: list[str] = []
        self.paused = asyncio.Event()  # set: nothing moves
        self._slots = asyncio.Semaphore(slots)
        self._pace = pace_seconds
        self._inside = 0
        self._moved = time.monotonic()
        self._last_token: float | None = None

    async def submit(self, request: Request) -> AsyncIterator[Progress]:
        """As in protocol.Engine."""
        self._inside += 1
        finished = False
        try:
            async with self._slots:
                yield Progress(request.id, started=True)
                for count in range(1, request.max_tokens + 1):
                    await self._tick()
                    finish = "length" if count == request.max_tokens else None
                    finished = finish is not None
                    token = Token(request.prompt[(count - 1) % len(request.prompt)])
                    yield Progress(request.id, (token,), finish=finish)  # type: ignore[arg-type]
        finally:
            self._inside -= 1
            if not finished:
                self.cancelled.append(request.id)

    def cancel(self, request_id: str) -> None:
        """As in protocol.Engine."""
        self.cancelled.append(request_id)

    async def load_adapter(self, spec: AdapterSpec) -> None:
        """As in protocol.Engine; it would change nothing."""

    async def unload_adapter(self, name: str) -> None:
        """As in protocol.Engine."""

    def stalled_seconds(self) -> float:
        """As in protocol.Engine."""
        return time.monotonic() - self._moved if self._inside else 0.0

    def last_token_age(self) -> float | None:
        """As in protocol.Engine."""
        return None if self._last_token is None else time.monotonic() - self._last_token

    async def _tick(self) -> None:
        await asyncio.sleep(self._pace)
        while self.paused.is_set():
            await asyncio.sleep(0.01)
        self._moved = self._last_token = time.monotonic()
