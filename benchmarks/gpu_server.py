"""A server of the serving image, or of transformers, as its own command starts it. Called by the checks on a GPU."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from serving_image.bench.load import Ask, chat, send, story

START_SECONDS = 120


class Running:
    """A process that listens on `url`; `log` is what it has said."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self.url, self._log = f"http://127.0.0.1:{port}", log
        with log.open("wb") as output:
            environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        self.http = httpx.Client(base_url=self.url, timeout=120, trust_env=False)

    def log(self) -> str:
        """So far."""
        return self._log.read_text(errors="replace")

    def gauge(self, name: str) -> float:
        """One of vLLM's metrics."""
        lines = self.http.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"vllm:{name}{{")).rsplit(" ", 1)[1])

    def wait_for_token(self, body: dict[str, object]) -> None:
        """Until it answers."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                if asyncio.run(send(self.url, [Ask(0, body)]))[0].whole:
                    return
            except (OSError, RuntimeError) as error:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"no answer: {error}; the log ends with\n{self.log()[-2500:]}") from None
            time.sleep(0.3)


@contextmanager
def ours(model: Path, log: Path, *flags: str) -> Iterator[Running]:
    """`python -m serving_image`, ready."""
    port = _free_port()
    command = [sys.executable, "-m", "serving_image", "--model", str(model), "--port", str(port), *flags]
    with _running(command, port, log) as server:
        server.wait_for_token(chat(story(1, 5), 2))
        yield server


@contextmanager
def transformers(model: Path, log: Path, dtype: str) -> Iterator[Running]:
    """`transformers serve --continuous-batching`, ready."""
    port = _free_port()
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", dtype, "--continuous-batching"]
    with _running(command, port, log) as server:
        server.wait_for_token(chat(story(1, 5), 2, str(model)))
        yield server


@contextmanager
def _running(command: Sequence[str], port: int, log: Path) -> Iterator[Running]:
    server = Running(command, port, log)
    try:
        yield server
    except BaseException:
        print(server.log()[-6000:], file=sys.stderr)
        raise
    finally:
        server.http.close()
        server.process.kill()
        server.process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
