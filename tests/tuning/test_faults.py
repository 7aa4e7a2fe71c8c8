"""What breaks around a run is named, and nothing that was done is lost."""

import os
import socketserver
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import chat, jsonl

from tests.loopback import Silent, serving
from tuning_image import monitor
from tuning_image.data import download
from tuning_image.errors import TryAgainError, UserError
from tuning_image.training import checkpoints

CONTENT = os.urandom(300_000)


class Handler(Silent):
    """Serves CONTENT; `cuts` says after how many bytes each next answer breaks off, `versions` its next headers."""

    cuts: ClassVar[list[int]] = []
    ranges: ClassVar[list[str | None]] = []
    keeps_ranges: ClassVar[bool] = True
    versions: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.2:{self.server.server_address[1]}/a.jsonl")  # type: ignore[attr-defined]
            self.end_headers()
            return
        assert self.headers["accept-encoding"] == "identity"
        asked = self.headers.get("range")
        self.ranges.append(asked)
        version = self.versions.pop(0) if self.versions else ("ETag", '"1"')
        same = self.headers.get("if-range", version[1]) == version[1]
        asked = asked if self.keeps_ranges and same else None
        start = int(asked.split("=")[1].rstrip("-")) if asked else 0
        self.send_response(404 if self.path.startswith("/gone") else 206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header(*version)
        self.end_headers()
        part = CONTENT[start:]
        self.wfile.write(part[: self.cuts.pop(0)] if self.cuts else part)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(Handler, "ranges", [])
    with serving(socketserver.TCPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


def test_a_download_that_is_cut_goes_on_where_it_was(address: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Handler, "cuts", [100_000, 50_000])
    assert download.fetch(f"{address}/a.jsonl", tmp_path, None, True).read_bytes() == CONTENT
    assert Handler.ranges[1:] == ["bytes=100000-", "bytes=150000-"]


def test_a_download_that_never_ends_well_asks_for_another_try(address: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Handler, "cuts", [0] * 50)
    with pytest.raises(TryAgainError, match="5 times"):
        download.fetch(f"{address}/a.jsonl", tmp_path, None, True)


def test_a_server_that_knows_no_ranges_begins_anew(address: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Handler, "cuts", [100_000])
    monkeypatch.setattr(Handler, "keeps_ranges", False)
    assert download.fetch(f"{address}/a.jsonl", tmp_path, None, True).read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=100000-"]


@pytest.mark.parametrize(
    "versions",
    [
        [("ETag", '"1"'), ("ETag", '"2"')],
        [("Last-Modified", "Fri, 27 Nov 2026 06:00:00 GMT"), ("Last-Modified", "Fri, 27 Nov 2026 07:00:00 GMT")],
    ],
)
def test_a_file_that_changed_between_two_tries_begins_anew(
    address: str, tmp_path: Path, monkeypatch: Any, versions: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(Handler, "cuts", [100_000])
    monkeypatch.setattr(Handler, "versions", versions)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    with pytest.raises(TryAgainError):
        download.fetch(f"{address}/a.jsonl", tmp_path, None, True)
    monkeypatch.setitem(globals(), "CONTENT", CONTENT[::-1])
    fetched = download.fetch(f"{address}/a.jsonl", tmp_path, None, True)
    assert fetched.read_bytes() == CONTENT
    assert [path.name for path in fetched.parent.iterdir()] == ["a.jsonl"]


def test_a_public_address_that_leads_to_a_private_one_is_refused(
    address: str, tmp_path: Path, monkeypatch: Any
) -> None:
    known = download.is_public
    monkeypatch.setattr(download, "is_public", lambda ip: ip == "127.0.0.1" or known(ip))
    with pytest.raises(UserError, match=r"127\.0\.0\.2 is the private address"):
        download.fetch(f"{address}/away", tmp_path, None, False)


def test_a_wrong_checksum_and_a_wrong_address_are_user_errors(address: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected 00"):
        download.fetch(f"{address}/a.jsonl?sig=secret", tmp_path, "00", True)
    with pytest.raises(UserError, match="404") as refused:
        download.fetch(f"{address}/gone?sig=secret", tmp_path, None, True)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "169.254.169.254", "localhost", "10.0.0.1", "2130706433", "[::1]", "[::ffff:10.0.0.1]", "0.0.0.0"],
)
def test_private_addresses_are_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(UserError, match="private address"):
        download.fetch(f"http://{host}:9/a.jsonl", tmp_path, None, False)


def test_a_full_disk_keeps_the_last_checkpoint_and_says_what_is_missing(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        save = lambda size: lambda folder: (folder / "weights").write_bytes(b"0" * size) and None  # noqa: E731
        checkpoints.write(tmp_path, 1, 1000, 2, save(500_000))
        with pytest.raises(TryAgainError, match="the last good checkpoint is kept"):
            checkpoints.write(tmp_path, 2, 1000, 2, save(900_000))
        with pytest.raises(TryAgainError, match=r"needs 0\.800 GB.*are missing; checkpoint-1 is kept"):
            checkpoints.write(tmp_path, 2, 800_000_000, 2, save(1))
        assert checkpoints.latest(tmp_path) == tmp_path / "checkpoints" / "checkpoint-1"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_torn_checkpoint_is_never_gone_on_from(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoints.write(tmp_path, step, 0, 2, lambda folder: (folder / "a").write_text("a") and None)
    (tmp_path / "checkpoints" / ".writing").mkdir()
    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoints" / "checkpoint-3"
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["checkpoint-2", "checkpoint-3"]


def test_health_and_metrics_are_served_while_it_runs() -> None:
    with monitor.serving(0, "127.0.0.1") as port:
        for path, expected in (("health", b"ok"), ("metrics", b"python_info")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
                assert expected in answer.read()


def test_bad_data_ends_with_42_before_a_model_is_loaded(
    tune: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, tiny_folder: Path
) -> None:
    data = jsonl(tmp_path / "d.jsonl", [chat(), {"messages": []}])
    done = tune("--model", tiny_folder, "--data", data, "--output", tmp_path / "out")
    assert done.returncode == 42 and "row 2: messages is empty" in done.stderr and "Traceback" not in done.stderr
