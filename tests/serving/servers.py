"""Starts the real server as a process, on the small real model, and asks it. Used by the tests here."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import openai

from benchmarks import small_model

ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """A server process."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""
    clients: list[httpx.Client] = field(default_factory=list)  # closed at the end

    def text(self) -> str:
        """Its log so far."""
        return self.log.read_text()

    def http(self, **options: object) -> httpx.Client:
        """A client of its API."""
        return httpx.Client(base_url=self.url, timeout=500, trust_env=False, **options)

    @property
    def address(self) -> tuple[str, int]:
        """For a socket of one's own."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def openai(self, key: str = "none") -> openai.OpenAI:
        """The real OpenAI client."""
        http = httpx.Client(trust_env=False, timeout=500)
        self.clients.append(http)
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, http_client=http)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, not to its engine."""
        self.process.send_signal(number)

    def engine_pid(self) -> int:
        """The process that holds the model."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
        return next(pid for pid, command in commands.items() if "spawn_main" in command)


@contextmanager
def running(
    folder: Path,
    *flags: str,
    wait: bool = True,
    model: str | None = None,
    module: str = "serving_image",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """`python -m serving_image`, or another `module` with the same main, on a free port, ended at the end."""
    log = folder / f"server-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", module, "--model", model or str(small_model.folder()), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *flags], cwd=ROOT, stdout=output, stderr=output, env=environment)
    server = Running(process, log)
    try:
        if wait:
            _wait_until_ready(server)
        yield server
    finally:
        for client in server.clients:
            client.close()
        process.kill()
        process.wait()


def _wait_until_ready(server: Running) -> None:
    end = time.monotonic() + 400
    while time.monotonic() < end and server.process.poll() is None:
        if found := re.search(r"listening on (http://[\d.:]+)", server.text()):
            server.url = found[1]
            if httpx.get(f"{server.url}/health", trust_env=False).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"the server is not ready; its log:\n{server.text()[-3000:]}")


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Fails if it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def gauge(server: Running, name: str) -> float:
    """One of vLLM's metrics."""
    with server.http() as http:
        lines = http.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"vllm:{name}{{")).rsplit(" ", 1)[1])


def events(lines: Iterator[str]) -> list[dict[str, object] | str]:
    """The server-sent events of a stream, "[DONE]" as text."""
    data = [line.removeprefix("data: ") for line in lines if line]
    return [each if each == "[DONE]" else json.loads(each) for each in data]
