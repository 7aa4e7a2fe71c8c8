"""What the API needs of an engine. Implemented by process.py (the real one) and fake.py (for tests of the API)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from serving_image.requests import Progress, Request, Stats
from serving_image.setting_types import AdapterSpec

State = Literal["loading", "ready", "failed"]


@dataclass(frozen=True)
class Info:
    """What is known of the model once it is loaded."""

    context_tokens: int
    vocabulary: int
    description: str  # dtype, device, sizes: for the log
    losses: tuple[str, ...] = ()  # what this model cannot have here, in words


class Engine(Protocol):
    """Answers requests. All methods are called on the event loop and none blocks it."""

    state: State
    info: Info | None
    failure: str
    stats: Stats

    def submit(self, request: Request) -> AsyncIterator[Progress]:
        """Queue a request at once; iterate over what becomes of it, to its `finish`."""

    def cancel(self, request_id: str) -> None:
        """Stop before the next step; the iterator ends with finish "cancelled"."""

    async def load_adapter(self, spec: AdapterSpec) -> None:
        """Serve an adapter, in place of one of the same name.

        Raises:
            AdapterError: It cannot be served; what was served before still is.
        """

    async def unload_adapter(self, name: str) -> None:
        """Serve it no more; requests that run with it go on."""

    def stalled_seconds(self) -> float:
        """Since when work is there and nothing happens; 0 while idle or moving."""

    def last_token_age(self) -> float | None:
        """Seconds since a token was generated, the one before the model was ready included; None before that one."""
