"""The engine in a process of its own, seen from the event loop. Called by the app.

Two threads carry messages, so that neither a full pipe nor a stopped engine ever blocks the event loop.
"""

import asyncio
import itertools
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from serving_image.engine import worker
from serving_image.engine.messages import Cancel, Failed, LoadAdapter, Ready, Reply, Stepped, Submit, UnloadAdapter
from serving_image.engine.protocol import Info, State
from serving_image.errors import AdapterError
from serving_image.requests import Progress, Request, Stats
from serving_image.setting_types import AdapterSpec
from serving_image.settings import Settings
from serving_image.source import Source

# Weights in pages of 2 MiB: on CPUs every step reads all of them, and small pages slow that down by a sixth.
HUGE_PAGES = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
# How long threads of PyTorch (GNU OpenMP) wait for each other awake. Its default, about 300,000 turns, takes the core
# from the thread that is waited for as soon as another program runs: at 16 requests beside two busy programs on two
# cores 36 tokens/s, with this 144; alone 389 and 394. 0 costs a third of the speed alone.
AWAKE_TURNS = "20000"
LESS_URGENT = 10  # this process than the engine's: its threads wait for each other, so who stops one stops all


class ProcessEngine:
    """Implements protocol.Engine."""

    def __init__(self, settings: Settings, on_change: Callable[[], None] = lambda: None) -> None:
        self.state: State = "loading"
        self.info: Info | None = None
        self.failure = ""
        self.stats = Stats()
        self._on_change = on_change  # called when `state` changes
        self._settings = settings
        self._streams: dict[str, asyncio.Queue[Progress]] = {}
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._calls: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count()
        self._moved = time.monotonic()
        self._last_token: float | None = None
        self.process: Any = None

    def start(self, source: Source) -> None:
        """Start the process; `state` says when it is ready."""
        self._loop = asyncio.get_running_loop()
        os.environ.setdefault(*HUGE_PAGES)  # read by the C library when the engine's process begins
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault("GOMP_SPINCOUNT", AWAKE_TURNS)  # read when the process loads PyTorch
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.process = context.Process(
            target=worker.main, args=(theirs, self._settings, source), daemon=True, name="engine"
        )
        self.process.start()
        theirs.close()
        os.nice(LESS_URGENT)
        Thread(target=self._send_all, args=(ours,), daemon=True, name="to-engine").start()
        Thread(target=self._receive_all, args=(ours,), daemon=True, name="from-engine").start()

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self.process:
            self.process.kill()
            self.process.join(5)

    async def submit(self, request: Request) -> AsyncIterator[Progress]:
        """As in protocol.Engine."""
        queue: asyncio.Queue[Progress] = asyncio.Queue()
        if not self._streams:
            self._moved = time.monotonic()
        self._streams[request.id] = queue
        self._outbox.put(Submit(request))
        try:
            while True:
                progress = await queue.get()
                yield progress
                if progress.finish:
                    return
        finally:
            if self._streams.pop(request.id, None) is not None:
                self._outbox.put(Cancel(request.id))

    def cancel(self, request_id: str) -> None:
        """As in protocol.Engine."""
        self._deliver(Progress(request_id, finish="cancelled"))
        self._outbox.put(Cancel(request_id))

    async def load_adapter(self, spec: AdapterSpec) -> None:
        """As in protocol.Engine."""
        await self._call(lambda call: LoadAdapter(call, spec))

    async def unload_adapter(self, name: str) -> None:
        """As in protocol.Engine."""
        await self._call(lambda call: UnloadAdapter(call, name))

    async def _call(self, message: Callable[[int], Any]) -> None:
        number = next(self._numbers)
        self._calls[number] = answered = asyncio.get_running_loop().create_future()
        self._outbox.put(message(number))
        if error := await answered:
            raise AdapterError(error)

    def stalled_seconds(self) -> float:
        """As in protocol.Engine."""
        return time.monotonic() - self._moved if self._streams else 0.0

    def last_token_age(self) -> float | None:
        """As in protocol.Engine."""
        return None if self._last_token is None else time.monotonic() - self._last_token

    def _send_all(self, connection: Connection) -> None:
        while True:
            message = self._outbox.get()
            try:
                connection.send(message)
            except OSError:
                return  # the engine is gone, which _receive_all reports

    def _receive_all(self, connection: Connection) -> None:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                message = Failed("the engine's process ended; the log above says why")
            try:
                self._loop.call_soon_threadsafe(self._handle, message)
            except RuntimeError:
                return  # the event loop is closed: the server is gone
            if isinstance(message, Failed):
                return

    def _handle(self, message: Any) -> None:
        self._moved = time.monotonic()
        match message:
            case Stepped(progress, stats):
                self.stats = stats
                if any(each.tokens for each in progress):
                    self._last_token = self._moved
                for each in progress:
                    self._deliver(each)
            case Reply(call, error):
                self._calls.pop(call).set_result(error)
            case Ready(info):
                self.state, self.info, self._last_token = "ready", info, self._moved
                self._on_change()
            case Failed(text):
                self.state, self.failure = "failed", self.failure or text
                for request_id in list(self._streams):
                    self._deliver(Progress(request_id, finish="error", message=self.failure))
                for answered in self._calls.values():
                    answered.set_result(self.failure)
                self._calls.clear()
                self._on_change()

    def _deliver(self, progress: Progress) -> None:
        if queue := self._streams.get(progress.request):
            queue.put_nowait(progress)
        if progress.finish:
            self._streams.pop(progress.request, None)
