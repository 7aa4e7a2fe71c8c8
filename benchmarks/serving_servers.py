"""The servers that are measured side by side, each a process. Called by serving_run.

All stay loaded, and those that are not measured are stopped with SIGSTOP: that way every figure of one server has its
neighbours' figures within the same minute, and nobody takes another one's cores.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread
from typing import IO, Any

import psutil

from benchmarks import small_model
from serving_image.bench.load import Ask, chat, send, story

OURS, BATCHING, PLAIN = "ours", "batching", "plain"
NAMES = {
    OURS: "serving_image",
    BATCHING: "transformers serve --continuous-batching",
    PLAIN: "transformers serve",
}
START_SECONDS = 600
WORDS = 29  # 69 tokens with the chat template


class Server:
    """One server from its start to its first token and on."""

    def __init__(self, name: str, flags: tuple[str, ...] = ()) -> None:
        self.name = name
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.peak_bytes = 0
        began = time.monotonic()
        self._log: IO[bytes] = TemporaryFile()  # noqa: SIM115 (closed by `end`)
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
        command = _command(name, self.port, flags)
        self.process = psutil.Popen(command, stdout=self._log, stderr=self._log, env=environment)
        self._first_token(began + START_SECONDS)
        self.start_seconds = time.monotonic() - began

    def body(self, text: str, answer_tokens: int, model: str | None = None) -> dict[str, Any]:
        """A request that this server takes: transformers refuses stream_options, and tells the usage unasked."""
        if self.name == OURS:
            return chat(text, answer_tokens, model, stream_options={"include_usage": True})
        return chat(text, answer_tokens, str(small_model.folder()))

    def tree(self) -> list[psutil.Process]:
        """The server's processes."""
        return [self.process, *self.process.children(recursive=True)]

    def send_signal(self, number: signal.Signals) -> None:
        """To all of them."""
        for each in self.tree():
            each.send_signal(number)

    @contextmanager
    def active(self) -> Iterator["Server"]:
        """Running, with its memory watched; stopped again at the end."""
        self.send_signal(signal.SIGCONT)
        done = Event()
        watcher = Thread(target=self._watch, args=(done,))
        watcher.start()
        try:
            yield self
        finally:
            done.set()
            watcher.join()
            self.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        """Whatever it does."""
        for each in self.tree():
            each.kill()
        self.process.wait()
        self._log.close()

    def log(self) -> str:
        """The end of what it said."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3000:]

    def _watch(self, done: Event) -> None:
        while not done.wait(0.1):
            used = sum(each.memory_info().rss for each in self.tree())
            self.peak_bytes = max(self.peak_bytes, used)

    def _first_token(self, deadline: float) -> None:
        ask = [Ask(0, self.body(story(1, WORDS), 1))]
        while True:
            try:
                if asyncio.run(send(self.url, ask))[0].pieces:
                    return
            except (OSError, RuntimeError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"benchmarks: {NAMES[self.name]} does not answer:\n{self.log()}") from None
            time.sleep(0.1)


def _command(name: str, port: int, flags: tuple[str, ...]) -> list[str]:
    folder = str(small_model.folder())
    if name == OURS:
        ours = [sys.executable, "-m", "serving_image", "--model", folder, "--port", str(port)]
        return [*ours, "--dtype", "bfloat16", *flags]
    batching = ["--continuous-batching"] if name == BATCHING else []
    serve = [str(Path(sys.executable).parent / "transformers"), "serve", folder, "--port", str(port)]
    return [*serve, "--dtype", "bfloat16", *batching]


@contextmanager
def started(names: tuple[str, ...], flags: tuple[str, ...] = ()) -> Iterator[dict[str, Server]]:
    """All of them, one started after the other's first token, stopped until used."""
    servers: dict[str, Server] = {}
    try:
        for name in names:
            servers[name] = Server(name, flags if name == OURS else ())
            servers[name].send_signal(signal.SIGSTOP)
        yield servers
    finally:
        for server in servers.values():
            server.end()
