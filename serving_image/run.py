"""Runs the server from start to stop: listens at once, loads beside it, drains on SIGTERM. Called by __main__."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from types import ModuleType
from typing import TypeVar, cast

import uvicorn
import uvloop

from serving_image import logs
from serving_image.api import tokenizer
from serving_image.api.state import Server
from serving_image.app import make_app, make_monitoring_app, make_server
from serving_image.engine.process import ProcessEngine
from serving_image.errors import SettingsError, WeightsError
from serving_image.settings import Settings
from serving_image.source import find

log = logging.getLogger("serving")
T = TypeVar("T")


class Listener(uvicorn.Server):
    """uvicorn, with our handling of signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled below."""
        yield


def serve(settings: Settings) -> int:
    """Until a signal, or the engine's end; the exit code."""
    logs.configure(settings.log_level)
    for line in settings.lines():
        log.info("setting %s", line)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    changed = asyncio.Event()
    engine = ProcessEngine(settings, changed.set)
    server = make_server(settings, engine)
    sockets = _listen(settings)
    listeners = [_listener(make_app(server))]
    if settings.metrics_port:
        listeners.append(_listener(make_monitoring_app(server)))
    tasks = [
        asyncio.create_task(each.serve([each_socket])) for each, each_socket in zip(listeners, sockets, strict=True)
    ]
    stop = _on_signals()
    loading = asyncio.create_task(_load(server, engine, changed))
    failed = asyncio.create_task(_failed(engine, changed))
    try:
        ends = [*tasks, failed, asyncio.create_task(stop.wait()), asyncio.create_task(_raises(loading))]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if loading.done() and (error := loading.exception()):
            raise error
        code = 1 if engine.state == "failed" else await _drain(server)
    finally:
        loading.cancel()
        for listener in listeners:
            listener.should_exit = True
            listener.force_exit = True
        await asyncio.gather(*tasks, return_exceptions=True)
        engine.stop()
        if server.traces:
            await asyncio.to_thread(server.traces.stop)
    return code


async def _load(server: Server, engine: ProcessEngine, changed: asyncio.Event) -> None:
    """The files, then the tokenizer, while the engine loads the weights in its process."""
    settings = server.settings
    source = await _abandonable(lambda: find(settings, server.download))
    engine.start(source)
    if not source.gguf:  # transformers turns a GGUF file's tokenizer with PyTorch
        _hide_torch()
    try:
        server.tokenizer = await asyncio.to_thread(tokenizer.load, source, settings.chat_template)
    except Exception as error:  # the library of tokenizers raises nothing narrower
        raise WeightsError(f"{source.folder}: the tokenizer cannot be loaded: {error}") from None
    while server.engine.state == "loading":
        changed.clear()
        await changed.wait()
    if info := server.engine.info:
        log.info("ready: %s", info.description)
        for loss in info.losses:
            log.warning("not as elsewhere: %s", loss)


async def _abandonable(work: Callable[[], T]) -> T:
    """Run `work` in a thread that the end of the process does not wait for, as a download may take an hour."""
    result: Future[T] = Future()

    def run() -> None:
        result.set_running_or_notify_cancel()
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    Thread(target=run, daemon=True, name="files").start()
    return await asyncio.wrap_future(result)


def _hide_torch() -> None:
    """Let transformers load a tokenizer without PyTorch, which only the engine's process needs: 0.5 GB and 2 s less.

    None among the modules is Python's own way to say that there is no such module.
    """
    sys.modules.setdefault("torch", cast(ModuleType, None))
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # that there is no PyTorch


async def _raises(loading: asyncio.Task[None]) -> None:
    """Ends only if loading fails."""
    await asyncio.wait([loading])
    if loading.exception() is None:
        await asyncio.Event().wait()


async def _failed(engine: ProcessEngine, changed: asyncio.Event) -> None:
    while engine.state != "failed":
        await asyncio.sleep(0.2)
    log.error("engine failed: %s", engine.failure)
    await asyncio.sleep(0.5)  # for the answers that say so


async def _drain(server: Server) -> int:
    """Accept nothing new and let the running ones finish."""
    server.gate.draining = True
    grace = server.settings.drain_timeout
    log.info("stopping: %d requests have %g s to finish", server.gate.inside, grace)
    if not await server.gate.empty(grace):
        log.warning("stopping: %d requests are cut", server.gate.inside)
    await asyncio.sleep(0.1)  # for the last bytes
    return 0


def _on_signals() -> asyncio.Event:
    """The event of the first SIGTERM or SIGINT; the second ends the process at once."""
    stop = asyncio.Event()

    def handle() -> None:
        if stop.is_set():
            logging.shutdown()
            signal.raise_signal(signal.SIGKILL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, handle)
    return stop


def _listen(settings: Settings) -> list[socket.socket]:
    ports = [settings.port, *([settings.metrics_port] if settings.metrics_port else [])]
    sockets = []
    for port in ports:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        try:
            listening = socket.create_server((settings.host, port), family=family, backlog=2048)
        except OSError as error:
            raise SettingsError(f"--host {settings.host} --port {port}: cannot listen there: {error}") from None
        log.info("listening on http://%s:%d", settings.host, listening.getsockname()[1])
        sockets.append(listening)
    return sockets


def _listener(app: object) -> Listener:
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=75, ws="none")
    return Listener(config)
