"""What breaks around and inside the engine: each fault against a real process, which serves on."""

import asyncio
import math
import multiprocessing
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from safetensors.torch import load_file, save_file

from serving_image.engine.worker import _Loop
from serving_image.errors import ServingError
from serving_image.settings import read
from serving_image.source import Source
from tests.serving import faulty
from tests.serving.servers import Running, gauge, running, wait_until

WARM_UP_TOKEN = 3  # one of those that the engine tries itself with
ENDLESS = {"prompt": "Once", "max_tokens": 8000, "ignore_eos": True}


@pytest.fixture(scope="module")
def tiny_server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Running]:
    """Whose steps fail on the token POISON."""
    flags = ("--max-queued-requests", "2000", "--write-timeout", "2", "--threads", "1")
    folder = tmp_path_factory.mktemp("faulty")
    with running(folder, *flags, model=str(tiny_model), module="tests.serving.faulty") as server:
        yield server


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Running]:
    """Whose steps take a second."""
    slow = {"FAULTY_SLOW_SECONDS": "1"}
    folder = tmp_path_factory.mktemp("slow")
    with running(folder, model=str(tiny_model), module="tests.serving.faulty", environment=slow) as server:
        yield server


def complete(server: Running, **body: object) -> httpx.Response:
    with server.http() as http:
        return http.post("/v1/completions", json={"prompt": "Once", "max_tokens": 3, **body})


def test_a_step_that_raises_is_a_500_of_its_request_and_the_server_lives(tiny_server: Running):
    failed = complete(tiny_server, prompt=[5, 6, faulty.POISON])
    assert failed.status_code == 500
    assert failed.json()["error"]["type"] == "server_error" and "bad token" in failed.json()["error"]["message"]
    assert complete(tiny_server).status_code == 200


def test_a_first_token_that_fails_ends_the_process_and_it_is_never_ready(tiny_model: Path, tmp_path: Path):
    start = {"module": "tests.serving.faulty", "environment": {"FAULTY_POISON": str(WARM_UP_TOKEN)}}
    with running(tmp_path, model=str(tiny_model), wait=False, **start) as server:
        assert server.process.wait(120) == 1
        assert "engine failed: the model fails its first request: " in server.text() and "bad token" in server.text()
        assert '"ready: ' not in server.text()


def test_a_model_whose_first_token_is_no_number_is_never_ready(tiny_model: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"].fill_(math.nan)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ServingError, match=r"first token has no probability \(NaN\).* too large for this --dtype"):
        _Loop(multiprocessing.Pipe()[0], read(["--model", str(folder)], {}), Source(folder))


def test_a_step_that_raises_does_not_touch_the_others_in_its_batch(tiny_server: Running):
    with tiny_server.http() as http, http.stream("POST", "/v1/completions", json={**ENDLESS, "stream": True}) as good:
        lines = good.iter_lines()
        next(lines)
        assert complete(tiny_server, prompt=[5, 6, faulty.POISON], ignore_eos=True).status_code == 500
        following = [next(lines) for _ in range(20)]
    assert all('"error"' not in line for line in following)


def test_a_step_that_raises_in_a_stream_is_an_event_of_that_stream(tiny_server: Running):
    body = {**ENDLESS, "logit_bias": {str(faulty.POISON): 100}, "stream": True, "temperature": 0}
    with tiny_server.http() as http, http.stream("POST", "/v1/completions", json=body) as answer:
        events = [line for line in answer.iter_lines() if line]
    assert answer.status_code == 200 and events[-1] == "data: [DONE]"
    assert "bad token" in events[-2] and '"type":"server_error"' in events[-2]


def vanish(server: Running, stream: bool) -> None:
    """Ask, and be gone when the second step of the answer has begun."""
    body = {**ENDLESS, "stream": stream}
    before = server.text().count(faulty.STEP)
    with socket.create_connection(server.address) as connection:
        request = httpx.Request("POST", f"{server.url}/v1/completions", json=body)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(f"POST /v1/completions HTTP/1.1\r\n{head}\r\n".encode() + request.content)
        wait_until(lambda: server.text().count(faulty.STEP) >= before + 2)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_vanishes_costs_one_more_step_at_most(slow_server: Running, stream: bool):
    vanish(slow_server, stream)
    steps = slow_server.text().count(faulty.STEP)
    wait_until(lambda: gauge(slow_server, "num_requests_running") == 0)
    time.sleep(2.5)  # long enough for two steps more
    assert slow_server.text().count(faulty.STEP) - steps <= 1


def test_two_thousand_requests_wait_at_once_and_all_are_answered(tiny_server: Running):
    async def ask() -> list[int]:
        limits = httpx.Limits(max_connections=2000)
        async with httpx.AsyncClient(base_url=tiny_server.url, trust_env=False, timeout=500, limits=limits) as http:
            body = {"prompt": "a", "max_tokens": 4, "ignore_eos": True}
            posts = [asyncio.create_task(http.post("/v1/completions", json=body)) for _ in range(2000)]
            return [(await post).status_code for post in posts]

    assert asyncio.run(ask()) == [200] * 2000
    assert gauge(tiny_server, "num_requests_waiting") == gauge(tiny_server, "num_requests_running") == 0


def test_a_reader_that_stops_reading_loses_its_stream(tiny_server: Running):
    body = {**ENDLESS, "n": 16, "logprobs": 20, "stream": True}
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(tiny_server.address)
        request = httpx.Request("POST", f"{tiny_server.url}/v1/completions", json=body)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(f"POST /v1/completions HTTP/1.1\r\n{head}\r\n".encode() + request.content)
        wait_until(lambda: gauge(tiny_server, "num_requests_running") == 16)
        wait_until(lambda: gauge(tiny_server, "num_requests_running") == 0, 120)
        read = 0
        while piece := connection.recv(1 << 20):
            read += len(piece)
            assert b"[DONE]" not in piece
    assert read > 0 and complete(tiny_server).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"NONSENSE\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_bytes_that_are_no_http_are_a_400_and_the_server_lives(tiny_server: Running, raw: bytes):
    with socket.create_connection(tiny_server.address, timeout=30) as connection:
        connection.sendall(raw)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    assert complete(tiny_server).status_code == 200


def test_a_huge_body_without_a_length_is_a_413(tiny_server: Running):
    def pieces() -> Iterator[bytes]:
        yield b'{"prompt": "'
        for _ in range(80):
            yield b"a" * 2**16

    with tiny_server.http(headers={"content-type": "application/json"}) as http:
        assert http.post("/v1/completions", content=pieces()).status_code == 413


def test_json_that_is_nested_too_deep_is_a_400(tiny_server: Running):
    with tiny_server.http(headers={"content-type": "application/json"}) as http:
        answer = http.post("/v1/completions", content=b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert answer.status_code == 400 and answer.json()["error"]["message"]
