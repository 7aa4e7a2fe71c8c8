"""The engine's process: loads the model, then steps while there is work. Started by process.py."""

import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from serving_image.engine.messages import Cancel, Failed, Ready, Stepped, Submit
from serving_image.errors import ServingError
from serving_image.requests import Progress, Request, Sampling
from serving_image.settings import Settings


def main(connection: Connection, settings: Settings) -> None:
    """Until the other side hangs up. Signals are the other side's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        loop = _Loop(connection, settings)
    except ServingError as error:
        connection.send(Failed(str(error)))
        return
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        connection.send(Failed(f"the model cannot be loaded: {type(error).__name__}: {error}"))
        return
    try:
        loop.run()
    except (EOFError, OSError):
        return  # the server is gone


class _Loop:
    """Messages in, a step, messages out."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        from serving_image.engine.build import build  # imports torch: seconds, and only in this process

        self.connection = connection
        self.stepper, info = build(settings)
        self._warm_up()
        connection.send(Ready(info))

    def run(self) -> None:
        while True:
            while not self.stepper.has_work or self.connection.poll():
                self._handle(self.connection.recv())
            self.connection.send(Stepped(self.stepper.step(), self.stepper.stats()))

    def _handle(self, message: Any) -> None:
        match message:
            case Submit(request):
                refusal = self.stepper.add(request)
                if refusal:
                    failed = Progress(request.id, finish="error", message=refusal)
                    self.connection.send(Stepped([failed], self.stepper.stats()))
            case Cancel(request_id):
                self.stepper.cancel(request_id)

    def _warm_up(self) -> None:
        """A real token, before anybody is told that the model is ready."""
        self.stepper.add(Request("warm-up", (0, 1, 2, 3), 2, Sampling(temperature=0)))
        while self.stepper.has_work:
            if failed := [each for each in self.stepper.step() if each.finish == "error"]:
                raise ServingError(f"the model fails its first request: {failed[0].message}")
