"""The engine's process: loads the model, then steps while there is work. Started by process.py."""

import logging
import math
import signal
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from serving_image import logs
from serving_image.engine.messages import Cancel, Failed, LoadAdapter, Ready, Reply, Stepped, Submit, UnloadAdapter
from serving_image.errors import AdapterError, ServingError
from serving_image.requests import Progress, Request, Sampling
from serving_image.setting_types import AdapterSpec
from serving_image.settings import Settings
from serving_image.source import Source

if TYPE_CHECKING:
    from serving_image.engine.grammar import Matcher

log = logging.getLogger("serving.engine")


def main(connection: Connection, settings: Settings, source: Source) -> None:
    """Until the other side hangs up. Signals are the other side's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logs.configure(settings.log_level)
    try:
        loop = _Loop(connection, settings, source)
    except ServingError as error:
        connection.send(Failed(str(error)))
        return
    except Exception as error:
        log.exception("the model cannot be loaded")
        connection.send(Failed(f"the model cannot be loaded: {type(error).__name__}: {error}"))
        return
    try:
        loop.run()
    except (EOFError, OSError):
        return  # the server is gone


class _Loop:
    """Messages in, a step, messages out."""

    def __init__(self, connection: Connection, settings: Settings, source: Source) -> None:
        from serving_image.engine.build import build  # imports torch: seconds, and only in this process

        self.connection = connection
        self._settings = settings
        self.stepper, self.grammars, info = build(settings, source)
        self._compiling: list[tuple[Request, Future[Matcher]]] = []  # grammars, beside the steps
        self._warm_up()
        connection.send(Ready(info))

    def run(self) -> None:
        while True:
            self._receive()
            done = [pair for pair in self._compiling if pair[1].done()]
            self._compiling = [pair for pair in self._compiling if pair not in done]
            for request, compiled in done:
                self._add(request, compiled)
            for progress in self.stepper.step():
                self.connection.send(Stepped(progress, self.stepper.stats()))

    def _receive(self) -> None:
        """All messages that are there; waits for one where there is nothing to do."""
        patience = 0.0 if self.stepper.has_work else 0.005 if self._compiling else None
        while self.connection.poll(patience):
            self._handle(self.connection.recv())
            patience = 0.0

    def _add(self, request: Request, compiled: "Future[Matcher] | None") -> None:
        try:
            self.stepper.add(request, compiled.result() if compiled else None)
        except Exception as error:  # of the library of grammars, or an EngineError
            failed = Progress(request.id, finish="error", message=str(error))
            self.connection.send(Stepped([failed], self.stepper.stats()))

    def _handle(self, message: Any) -> None:
        match message:
            case Submit(request):
                if request.grammar:
                    self._compiling.append((request, self.grammars.compile(request.grammar)))
                else:
                    self._add(request, None)
            case Cancel(request_id):
                self._compiling = [pair for pair in self._compiling if pair[0].id != request_id]
                self.stepper.cancel(request_id)
                self.connection.send(Stepped([], self.stepper.stats()))  # no step may follow that would tell it
            case LoadAdapter(call, spec):
                self.connection.send(Reply(call, self._load(spec)))
            case UnloadAdapter(call, name):
                self.stepper.adapters.remove(name)
                self.connection.send(Reply(call))

    def _load(self, spec: AdapterSpec) -> str:
        from serving_image.engine import adapter_files

        try:
            self.stepper.adapters.add(adapter_files.read(spec, self.stepper.model, self._settings.adapters_base))
        except AdapterError as error:
            return str(error)
        return ""

    def _warm_up(self) -> None:
        """A real token, before anybody is told that the model is ready."""
        self.stepper.add(Request("warm-up", (0, 1, 2, 3), 2, Sampling(temperature=0, logprobs=0)))
        while self.stepper.has_work:
            for progress in [each for part in self.stepper.step() for each in part]:
                if progress.finish == "error":
                    raise ServingError(f"the model fails its first request: {progress.message}")
                if any(math.isnan(token.logprob or 0.0) for token in progress.tokens):
                    raise ServingError(
                        "the model's first token has no probability (NaN): its weights are damaged, or its numbers are "
                        "too large for this --dtype; float32 and bfloat16 hold larger ones than float16"
                    )
