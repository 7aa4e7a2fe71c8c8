"""What happens under load, at the end and when things break: each against the real process."""

import asyncio
import concurrent.futures
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.serving.servers import Running, gauge, running, wait_until

LONG = {"prompt": "Once upon a time", "max_tokens": 100, "ignore_eos": True, "temperature": 0}
ENDLESS = {**LONG, "max_tokens": 8000}


def read_stream(server: Running, body: dict[str, object], began: threading.Event) -> str:
    """The last event of a stream."""
    last = ""
    with server.http() as http, http.stream("POST", "/v1/completions", json={**body, "stream": True}) as answer:
        for line in answer.iter_lines():
            if line:
                last = line
            if line.startswith("data: "):
                began.set()
    return last


@contextmanager
def paced(folder: Path, model: Path, *flags: str) -> Iterator[Running]:
    """A server of the tiny model that takes its time for each token, so that an answer goes on while a test acts."""
    start = {"module": "tests.serving.faulty", "environment": {"FAULTY_SLOW_SECONDS": "0.03"}}
    with running(folder, *flags, model=str(model), **start) as started:
        yield started


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Running]:
    """One that computes one request, lets one wait, and is not alive after two seconds without a step."""
    flags = ("--max-running", "1", "--max-queued-requests", "1", "--liveness-timeout", "2")
    with paced(tmp_path_factory.mktemp("narrow"), tiny_model, *flags) as started:
        yield started


@contextmanager
def streaming(server: Running) -> Iterator[Iterator[str]]:
    """An answer that goes on until the block ends: its lines."""
    with server.http() as http, http.stream("POST", "/v1/completions", json={**ENDLESS, "stream": True}) as answer:
        lines = answer.iter_lines()
        next(lines)
        yield lines


def test_sigterm_lets_streams_finish_and_refuses_new_requests(tiny_model: Path, tmp_path: Path):
    with (
        paced(tmp_path, tiny_model, "--drain-timeout", "400") as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        began = [threading.Event() for _ in range(3)]
        streams = [pool.submit(read_stream, server, LONG, each) for each in began]
        assert all(each.wait(60) for each in began)
        server.signal(signal.SIGTERM)
        with server.http() as http:
            wait_until(lambda: http.get("/health").status_code == 503)
            refused = http.post("/v1/completions", json=LONG)
        assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
        assert [stream.result() for stream in streams] == ["data: [DONE]"] * 3
        assert server.process.wait(30) == 0
        assert all(line.startswith("{") for line in server.text().splitlines())  # nobody complains at the end


def test_a_second_sigterm_ends_the_process_at_once(tiny_model: Path, tmp_path: Path):
    with paced(tmp_path, tiny_model) as server, streaming(server) as lines:
        server.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in server.text())
        server.signal(signal.SIGTERM)
        assert server.process.wait(10) == -signal.SIGKILL
        with pytest.raises(httpx.HTTPError):
            list(lines)


def test_a_stopped_engine_is_not_alive_within_the_limit_and_a_busy_one_is(narrow: Running):
    with streaming(narrow), narrow.http() as http:
        assert http.get("/health/live").status_code == 200
        os.kill(narrow.engine_pid(), signal.SIGSTOP)
        time.sleep(2.5)
        stalled = http.get("/health/live")
        os.kill(narrow.engine_pid(), signal.SIGCONT)
        wait_until(lambda: http.get("/health/live").status_code == 200)
    assert stalled.status_code == 503 and stalled.json()["requests"] == 1
    assert stalled.json()["seconds_without_step"] >= stalled.json()["liveness_timeout_seconds"] == 2
    assert stalled.json()["last_token_age_seconds"] >= 2


def test_a_client_that_vanishes_frees_its_place(server: Running):
    for stream in (True, False):
        began = threading.Event()

        def leave(stream: bool = stream, began: threading.Event = began) -> None:
            body = {**LONG, "max_tokens": 8000, "stream": stream}
            with (
                httpx.Client(base_url=server.url, trust_env=False, timeout=3) as http,
                http.stream("POST", "/v1/completions", json=body) as answer,
            ):
                next(answer.iter_lines())
                began.set()

        if stream:
            leave()
        else:
            with pytest.raises(httpx.ReadTimeout):
                leave()
        wait_until(lambda: gauge(server, "num_requests_running") == 0)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(narrow: Running):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with streaming(narrow):
            waiting = pool.submit(read_stream, narrow, {**LONG, "max_tokens": 2}, threading.Event())
            wait_until(lambda: gauge(narrow, "num_requests_waiting") == 1)
            with narrow.http() as http:
                refused = http.post("/v1/completions", json=LONG)
                unread = http.post("/v1/completions", content=b"nobody reads this")
                more = [http.post("/v1/completions", json=LONG).elapsed for _ in range(20)]
        assert min(more).total_seconds() <= 0.01  # the best of them, as the machine may be busy
        assert unread.status_code == 429
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "queue_full"
        assert waiting.result() == "data: [DONE]"


def test_a_request_that_waits_too_long_is_a_408(tiny_model: Path, tmp_path: Path):
    with paced(tmp_path, tiny_model, "--max-running", "1", "--queue-timeout", "0.5") as server, streaming(server):
        with server.http() as http:
            refused = http.post("/v1/completions", json=LONG)
        assert refused.status_code == 408 and "--queue-timeout, 0.5 s" in refused.text


async def statuses(url: str, count: int, at_once: int) -> list[int]:
    """Of many small requests."""
    limits, places = httpx.Limits(max_connections=at_once), asyncio.Semaphore(at_once)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=500, limits=limits) as http:

        async def ask() -> int:
            async with places:
                return (await http.post("/v1/completions", json={"prompt": "a", "max_tokens": 1})).status_code

        return await asyncio.gather(*[ask() for _ in range(count)])


def test_two_thousand_queued_requests_are_all_answered_or_refused(server: Running):
    codes = asyncio.run(statuses(server.url, 2000, 500))
    assert set(codes) <= {200, 429} and codes.count(200) >= 256
    assert server.process.poll() is None


def test_only_the_engines_process_holds_pytorch(server: Running):
    loaded = {pid: Path(f"/proc/{pid}/maps").read_text() for pid in (server.process.pid, server.engine_pid())}
    assert "libtorch" not in loaded[server.process.pid] and "libtorch" in loaded[server.engine_pid()]


def test_a_killed_engine_ends_the_server_after_it_said_so(tiny_model: Path, tmp_path: Path):
    with running(tmp_path, model=str(tiny_model)) as server:
        os.kill(server.engine_pid(), signal.SIGKILL)
        assert server.process.wait(20) == 1
        assert "engine failed" in server.text()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"", 400), (b"[]", 400), (b'{"prompt": "' + b"a" * 5_000_000 + b'"}', 413), (b"\xff\xfe", 400)],
)
def test_malformed_and_huge_bodies_are_refused(server: Running, body: bytes, status: int):
    with server.http(headers={"content-type": "application/json"}) as http:
        answer = http.post("/v1/completions", content=body)
    assert answer.status_code == status
    assert json.loads(answer.text)["error"]["message"]


@pytest.mark.parametrize(("header", "said"), [({}, "has none"), ({"content-type": "text/plain"}, "came as text/plain")])
def test_a_body_without_the_header_of_json_is_told_to_send_it(server: Running, header: dict[str, str], said: str):
    with server.http(headers=header) as http:
        answer = http.post("/v1/completions", content=b'{"prompt": "a"}')
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"send the header Content-Type: application/json; this body {said}"


def test_a_setting_that_is_wrong_stops_the_process_with_exit_code_2(tmp_path: Path):
    with running(tmp_path, "--dtype", "int3", wait=False) as server:
        assert server.process.wait(30) == 2
        assert server.text() == "serving_image: --dtype: 'int3' is none of auto, float32, bfloat16, float16\n"
