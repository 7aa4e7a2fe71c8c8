"""Models of Hugging Face: what arrives is whole or not there, what breaks is named. Against a stand-in of the hub."""

import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from huggingface_hub import constants

from serving_image import download
from serving_image.errors import WeightsError
from serving_image.settings import read
from serving_image.source import find
from tests.serving.hub_stand_in import COMMIT, NAME, Hub, hub
from tests.serving.servers import Running, running, wait_until

TOKEN = "hf_QwertyTokenThatNobodyMayRead"
WRITTEN = 10 * 2**20  # at a time, by huggingface_hub
DISK_BYTES = 20 * 2**20


@pytest.fixture
def remote(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub of this process, with an empty cache."""
    with hub(tiny_model) as started:
        monkeypatch.setattr(constants, "ENDPOINT", started.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", started.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(download, "FRUITLESS_TRIES", 1)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield started


def fetch(*flags: str, model: str = NAME) -> Path:
    return find(read(["--model", model, *flags], {})).folder


def problem(*flags: str, model: str = NAME) -> str:
    with pytest.raises(WeightsError) as caught:
        fetch(*flags, model=model)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def unfinished(cache: Path) -> list[Path]:
    return list(cache.rglob("*.incomplete"))


def weights_held(cache: Path, remote: Hub) -> int:
    """Bytes of the unfinished weights, beside which smaller files may grow."""
    name = hashlib.sha256(remote.contents["model.safetensors"]).hexdigest()
    return sum(part.stat().st_size for part in cache.rglob(f"{name}.incomplete"))


def test_a_model_arrives_whole_and_is_not_fetched_again(remote: Hub, tmp_path: Path):
    folder = fetch()
    assert folder.name == COMMIT and not unfinished(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == remote.contents
    assert fetch() == folder and len(remote.ranges()) == 1


def test_the_token_goes_to_the_hub_alone(remote: Hub):
    fetch()
    tokens = {path.startswith("/cdn/"): given for path, _, given in remote.asked if "harness" not in path}
    assert tokens == {True: None, False: f"Bearer {TOKEN}"}


def test_other_forms_of_the_same_weights_are_left_alone(remote: Hub):
    remote.contents["consolidated.safetensors"] = b"twice"
    assert not (fetch() / "consolidated.safetensors").exists()


def test_a_connection_that_is_cut_goes_on_where_it_was(remote: Hub):
    remote.cut_after = [11_000_000, 1_000_000]
    fetch()
    assert remote.ranges() == [None, f"bytes={WRITTEN}-", f"bytes={WRITTEN}-"]


def test_a_damaged_file_is_fetched_once_more_from_its_beginning(remote: Hub, caplog: pytest.LogCaptureFixture):
    remote.damaged = 1
    assert (fetch() / "model.safetensors").read_bytes() == remote.contents["model.safetensors"]
    assert remote.ranges() == [None, None] and "model.safetensors arrived damaged: its hash is" in caplog.text


def test_a_file_that_is_damaged_twice_is_named_and_not_kept(remote: Hub, tmp_path: Path):
    remote.damaged = 2
    assert "model.safetensors: arrived damaged twice, its hash is" in problem()
    assert not unfinished(tmp_path) and not list(tmp_path.rglob("snapshots"))


def test_a_damaged_small_file_is_noticed_too(remote: Hub, monkeypatch: pytest.MonkeyPatch):
    entry = remote.entry
    monkeypatch.setattr(remote, "entry", lambda name: {**entry(name), "blobId": "0" * 40})
    assert "arrived damaged twice" in problem()


def test_a_file_that_grew_too_long_begins_anew(remote: Hub, tmp_path: Path):
    remote.cut_after = [11_000_000, *[0] * 20]
    problem()
    (part,) = unfinished(tmp_path)
    assert part.stat().st_size == WRITTEN
    remote.cut_after.clear()
    part.write_bytes(b"x" * (len(remote.contents["model.safetensors"]) + 1))
    fetch()
    assert remote.ranges()[-1] is None


REFUSALS = {
    (401, ""): "wants a valid token for it (401): set HF_TOKEN, or renew",
    (401, "GatedRepo"): "is gated; accept its licence at",
    (403, "GatedRepo"): "is gated; accept its licence at",
    (403, ""): "HF_TOKEN may not read this model (403)",
    (404, "RepoNotFound"): "is neither a folder here nor a model that Hugging Face shows you",
    (500, ""): "answers 500, and the cache",
}


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: f"{each[0]} {each[1]}")
def test_a_refusal_is_named_with_the_way_out(remote: Hub, refusal: tuple[int, str]):
    remote.refusal = refusal
    assert REFUSALS[refusal] in problem()


def test_a_token_that_is_not_valid_is_named_as_that(remote: Hub):
    remote.refusal, remote.refusal_message = (401, ""), "Invalid credentials in Authorization header"
    assert "wants a valid token for it (401)" in problem()


def test_a_revision_that_does_not_exist_is_named(remote: Hub):
    assert problem("--revision", "v9") == f"--revision v9: {NAME} has no such revision"


def test_what_is_no_name_of_a_model_is_said(remote: Hub):
    assert "a/b/c: is neither a folder here nor a model" in problem(model="a/b/c")


def test_a_hub_that_cannot_be_reached_is_named_unless_the_cache_holds_all(
    remote: Hub, caplog: pytest.LogCaptureFixture
):
    folder = fetch()
    remote.refusal = (503, "")
    assert fetch() == folder and "not compared with Hugging Face's: --model example/tiny:" in caplog.text


def test_nobody_there_is_named_with_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(constants, "ENDPOINT", "http://user:secret@127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert "http://127.0.0.1:9 cannot be reached (ConnectError" in problem()


def test_what_is_half_made_is_not_taken_for_whole_when_offline(remote: Hub, monkeypatch: pytest.MonkeyPatch):
    remote.cut_after = [11_000_000, *[0] * 20]
    assert "the download was cut 1 times in a row without a byte" in problem()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set, and the cache" in problem()


def test_a_disk_that_is_too_small_is_named_before_a_byte_is_asked_for(
    remote: Hub, small_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small_disk))
    small_disk.joinpath("other").write_bytes(bytes(DISK_BYTES - 2_000_000))
    total = sum(map(len, remote.contents.values()))
    found = re.search(r"([\d.]+) GB of disk are missing: the model has ([\d.]+) GB", problem())
    assert found and float(found[2]) == pytest.approx(total / 1e9, rel=0.01)
    assert float(found[1]) == pytest.approx((total - 2_000_000) / 1e9, rel=0.05) and not remote.ranges()


@contextmanager
def downloading(folder: Path, remote: Hub, home: Path) -> Iterator[Running]:
    """The real server, as far as the first piece of the weights."""
    environment = {**remote.environment, "HF_HOME": str(home), "HF_TOKEN": TOKEN}
    asked = len(remote.ranges())
    with running(folder, "--log-level", "debug", model=NAME, wait=False, environment=environment) as server:
        wait_until(lambda: len(remote.ranges()) > asked or server.process.poll() is not None)
        server.url = re.findall(r"listening on (http://[\d.:]+)", server.text())[0]
        yield server


def test_while_it_downloads_health_metrics_and_log_say_how_far_it_is(tiny_model: Path, tmp_path: Path):
    with hub(tiny_model) as remote:
        remote.stall.set()
        with downloading(tmp_path, remote, tmp_path) as server, server.http() as http:
            total = sum(map(len, remote.contents.values()))
            wait_until(lambda: "MB/s" in server.text())
            health, metrics = http.get("/health"), http.get("/metrics").text
            assert health.status_code == 503 and health.json()["status"] == "loading"
            assert health.json()["bytes_total"] == total > health.json()["bytes_done"] > 0
            assert float(re.findall(r"kaito:download_total_bytes\{.*\} (\S+)", metrics)[0]) == total
            assert http.post("/v1/completions", json={"prompt": "a"}).json()["error"]["code"] == "loading"
            server.signal(signal.SIGTERM)
            assert server.process.wait(20) == 0
            line = next(json.loads(each) for each in server.text().splitlines() if "MB/s" in each)
            assert line["bytes_total"] == total and {"mb_per_second", "seconds_left"} < line.keys()


def test_a_killed_download_goes_on_at_the_next_start_and_the_token_is_nowhere(tiny_model: Path, tmp_path: Path):
    with hub(tiny_model) as remote:
        remote.stall.set()
        with downloading(tmp_path, remote, tmp_path) as first:
            wait_until(lambda: weights_held(tmp_path, remote))
            first.signal(signal.SIGKILL)
            first.process.wait(10)
        held = weights_held(tmp_path, remote)
        remote.stall.clear()
        environment = {**remote.environment, "HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN}
        with running(tmp_path, "--log-level", "debug", model=NAME, environment=environment) as second:
            assert remote.ranges()[1:] == [f"bytes={held}-"] and not unfinished(tmp_path)
            with second.http() as http:
                assert http.post("/v1/completions", json={"prompt": "a", "max_tokens": 1}).status_code == 200
            assert TOKEN not in first.text() + second.text()


def test_a_disk_that_fills_up_ends_the_process_by_name_and_the_next_start_goes_on(
    tiny_model: Path, tmp_path: Path, small_disk: Path
):
    with hub(tiny_model) as remote:
        remote.stall.set()
        with downloading(tmp_path, remote, small_disk) as server:
            wait_until(lambda: weights_held(small_disk, remote))
            fill(small_disk / "other")
            remote.stall.clear()
            assert server.process.wait(30) == 2
            assert re.search(r"serving_image: --model example/tiny: 0.0\d+ GB of disk are missing", server.text())
        assert not list(small_disk.rglob("snapshots")) and unfinished(small_disk)
        (small_disk / "other").unlink()
        with downloading(tmp_path, remote, small_disk):
            wait_until(lambda: list(small_disk.rglob("snapshots/*/model.safetensors")))
        assert remote.ranges()[1].startswith("bytes=")


def test_a_gated_model_ends_the_process_with_2_and_without_the_token(tiny_model: Path, tmp_path: Path):
    with hub(tiny_model) as remote:
        remote.refusal = (403, "GatedRepo")
        environment = {**remote.environment, "HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN}
        with running(tmp_path, "--log-level", "debug", model=NAME, wait=False, environment=environment) as server:
            assert server.process.wait(60) == 2
            assert "is gated; accept its licence at" in server.text() and TOKEN not in server.text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of DISK_BYTES."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip("a small disk needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path: Path) -> None:
    """To the last byte."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(65536)):
            pass
