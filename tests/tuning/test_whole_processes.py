"""Faults of data, downloads and registries, as a whole process meets them: exit code, words, and what is left."""

import json
import signal
import socketserver
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import registry_stand_in
import test_faults
from conftest import ROOT, chat, jsonl
from test_rows import BAD_ROWS
from test_training import STEPS

from tests.loopback import serving
from tests.serving.hub_stand_in import NAME, hub

Tune = Callable[..., subprocess.CompletedProcess[str]]
# Runs the image with short pauses between its tries.
IMPATIENT = """
import sys
from tuning_image import __main__
from tuning_image.output import registry

registry.PAUSE_SECONDS = 0.01
sys.exit(__main__.main(sys.argv[1:]))
"""


def test_rows_of_every_wrong_kind_end_the_run_with_42_and_the_first_ten_are_named(
    tune: Tune, tmp_path: Path, tiny_folder: Path
) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text("".join(f"{row}\n" for row in [json.dumps(chat()), *(row for row, _ in BAD_ROWS)]))
    done = tune("--model", tiny_folder, "--data", data, "--output", tmp_path / "out")
    assert done.returncode == 42 and "Traceback" not in done.stderr
    assert f"{len(BAD_ROWS)} of {len(BAD_ROWS) + 1} rows cannot be used" in done.stderr
    assert [f"row {number}: " in done.stderr for number in range(2, 13)] == [True] * 10 + [False]


def test_only_check_reports_on_the_data_and_loads_no_model(tune: Tune, tmp_path: Path, tiny_folder: Path) -> None:
    rows = [chat(f"Number {n}?", "yes " * n) for n in range(1, 40)]
    data, out = jsonl(tmp_path / "d.jsonl", [*rows, {"messages": []}]), tmp_path / "out"
    flags = ("--only-check", "--max-bad-rows", "0.1", "--set", "TrainingArguments.max_length=64")
    done = tune("--model", tiny_folder, "--data", data, "--output", out, *flags)
    assert done.returncode == 0 and "memory: " not in done.stdout and "data: 39 rows to learn" in done.stdout
    assert {path.name for path in out.iterdir()} == {".lock", "data_report.json", "lengths.png"}
    report = json.loads((out / "data_report.json").read_text())
    assert (report["rows_train"], report["rows_bad"], report["length_max"]) == (39, 1, 64)
    assert report["bad_rows"] == [f"{data}: row 40: messages is empty"] and 0 < report["truncated_share"] < 0.5
    assert f"{report['tokens_learned']} of them learned" in done.stdout
    width, height = struct.unpack(">II", (out / "lengths.png").read_bytes()[16:24])  # of a PNG's head
    assert (out / "lengths.png").read_bytes().startswith(b"\x89PNG") and width > height > 300


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of many chats that stops in the middle of its first answer."""
    rows = "".join(json.dumps(chat(f"Number {n}?", "yes")) + "\n" for n in range(3000))
    monkeypatch.setattr(test_faults, "CONTENT", rows.encode())
    monkeypatch.setattr(test_faults.Handler, "ranges", [])
    monkeypatch.setattr(test_faults.Handler, "cuts", [100_000])
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), test_faults.Handler)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}/a.jsonl"


def test_a_process_killed_while_it_downloads_goes_on_with_the_rest(
    address: str, tune: Tune, tmp_path: Path, tiny_folder: Path
) -> None:
    argv = ["--model", str(tiny_folder), "--data", address, "--allow-private-data", "--only-check", "--output"]
    command = [sys.executable, "-m", "tuning_image", *argv, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1) as process:
        while not list(tmp_path.rglob("*.part")) and process.poll() is None:
            time.sleep(0.001)
        while next(tmp_path.rglob("*.part")).stat().st_size < 100_000:
            time.sleep(0.001)
        process.kill()  # in the pause before the second try
        assert process.wait() == -signal.SIGKILL
    done = tune(*argv, tmp_path)
    assert done.returncode == 0 and "3000 rows to learn" in done.stdout, done.stderr
    assert test_faults.Handler.ranges == [None, "bytes=100000-"]


def test_a_registry_that_refuses_fails_or_hangs_up_costs_no_second_training(
    tmp_path: Path, chats: Path, tiny_folder: Path
) -> None:
    argv = ["--model", str(tiny_folder), "--data", str(chats), "--output", str(tmp_path / "out"), *STEPS]

    def push(*faults: int) -> tuple[int, str, bool]:
        server.faults = list(faults) * 40
        flags = ["--plain-http", "--push-image", f"{server.host}/a:1"]
        command = [sys.executable, "-c", IMPATIENT, *argv, *flags]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file() and "Traceback" not in done.stderr
        return done.returncode, done.stderr, "training: starts" in done.stdout

    with registry_stand_in.running() as server:
        code, said, trained = push(401)
        assert (code, trained) == (42, True) and "401 Unauthorized and no login was given" in said
        for fault, named in ((429, "429 Too Many Requests"), (500, "500 "), (0, "disconnected")):
            code, said, trained = push(fault)
            assert (code, trained) == (1, False) and named in said
        assert push()[0] == 0 and "1" in server.manifests


def test_data_of_the_hub_are_fetched_with_the_token_and_at_the_revision(
    tune: Tune, tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "hub").mkdir()
    jsonl(tmp_path / "hub" / "chats.jsonl", [chat()] * 3)
    (tmp_path / "hub" / "README.md").write_text("not data")
    with hub(tmp_path / "hub") as there:
        argv = ("--model", tiny_folder, "--output", tmp_path / "out", "--only-check", "--data")
        environment = {**there.environment, "HF_TOKEN": "hf_secret", "HF_HOME": str(tmp_path / "home")}
        done = tune(*argv, f"hf://datasets/{NAME}@main", **environment)
        assert done.returncode == 0 and "3 rows to learn" in done.stdout, done.stderr
        assert {token for path, _, token in there.asked if NAME in path} == {"Bearer hf_secret"}
        assert not any(path.endswith("README.md") for path, _, _ in there.asked)
        for refusal, code, said in (
            ((403, "GatedRepo"), 42, "is gated; accept"),
            ((503, ""), 1, "the Hub answers 503"),
        ):
            there.refusal = refusal
            done = tune(*argv, f"hf://datasets/{NAME}@other", **environment)
            assert done.returncode == code and said in done.stderr and "hf_secret" not in done.stderr + done.stdout
