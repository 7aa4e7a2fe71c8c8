"""What the API's process and the engine's process say to each other. Pickled; called by process.py and worker.py."""

from dataclasses import dataclass

from serving_image.engine.protocol import Info
from serving_image.requests import Progress, Request, Stats
from serving_image.setting_types import AdapterSpec


@dataclass(frozen=True)
class Submit:
    """To the engine: a new request."""

    request: Request


@dataclass(frozen=True)
class Cancel:
    """To the engine: nobody waits for this answer any more."""

    request_id: str


@dataclass(frozen=True)
class LoadAdapter:
    """To the engine: serve this adapter from the next request on."""

    call: int
    spec: AdapterSpec


@dataclass(frozen=True)
class UnloadAdapter:
    """To the engine: serve it no more."""

    call: int
    name: str


@dataclass(frozen=True)
class Reply:
    """From the engine: the call is done, or why not."""

    call: int
    error: str = ""


@dataclass(frozen=True)
class Ready:
    """From the engine: loaded, and a token was generated."""

    info: Info


@dataclass(frozen=True)
class Failed:
    """From the engine: it cannot start. `message` is for the user."""

    message: str


@dataclass(frozen=True)
class Stepped:
    """From the engine: what one step did."""

    progress: list[Progress]
    stats: Stats
