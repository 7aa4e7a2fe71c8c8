"""`python -m serving_image bench` measures a running server."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from serving_image.bench.wire import posted
from tests.serving.servers import ROOT, Running

BENCH = [sys.executable, "-m", "serving_image", "bench"]
SMALL = ["--concurrency", "2", "--waves", "1", "--words", "3", "--answer-tokens", "4"]


def bench(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BENCH, *flags], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_it_prints_a_table_and_writes_figures_and_a_picture(server: Running, tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "b.json"), "--png", str(tmp_path / "b.png")]
    done = bench("--url", server.url, *SMALL, *files)
    header, row = done.stdout.splitlines()
    assert done.returncode == 0 and "tokens/s" in header and row.split()[0] == "2", done.stderr
    (figures,) = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert (figures["whole"], figures["lost"]) == (2, 0) and figures["tokens_per_second"] > 0
    assert (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"


def test_a_server_that_is_not_there_is_named() -> None:
    done = bench("--url", "http://127.0.0.1:9", *SMALL)
    assert done.returncode == 2 and "http://127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr


async def read(answer: bytes) -> list[str]:
    """The lines that the bench reads of these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with posted(url, "/v1/chat/completions", b"{}", {}) as reply:
            return [line async for line in reply.lines()]


def test_lines_are_whole_however_they_are_cut_into_chunks():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n2\r\ntw\r\n3\r\no\n3\r\n0\r\n\r\n"
    assert asyncio.run(read(chunked)) == ["one", "two", "3"]


def test_an_answer_that_breaks_off_is_an_error():
    with pytest.raises(ConnectionError, match="closed the connection"):
        asyncio.run(read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none\n"))
