"""Whole processes that are killed, stopped, locked out or run out of disk: nothing that was done is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, chat, jsonl
from test_training import curve

from tuning_image import fingerprint
from tuning_image.training import checkpoints

KILLS = 9
STEPS = 30
SETTINGS = {
    "TrainingArguments.max_steps": STEPS,
    "TrainingArguments.learning_rate": 1e-2,
    "TrainingArguments.save_strategy": "steps",
    "TrainingArguments.save_steps": 1,
    "LoraConfig.lora_dropout": 0.1,
}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short chats."""
    rows = [chat(f"Number {n}?", "yes " * (n % 5 + 1)) for n in range(12)]
    return jsonl(tmp_path_factory.mktemp("data") / "chats.jsonl", rows)


def command(output: Path, data: Path, folder: Path, **more: object) -> list[str]:
    """The run, with a checkpoint after each step."""
    flags = [word for name, value in (SETTINGS | more).items() for word in ("--set", f"{name}={value}")]
    argv = ["--model", folder, "--data", data, "--output", output, *flags]
    return [sys.executable, "-m", "tuning_image", *map(str, argv)]


@pytest.fixture
def start(data: Path, tiny_folder: Path) -> Iterator[Start]:
    """Starts the run as a process; none is left behind."""
    started: list[subprocess.Popen[str]] = []

    def begin(output: Path, **more: object) -> subprocess.Popen[str]:
        argv = command(output, data, tiny_folder, **more)
        started.append(subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path, tiny_folder: Path) -> list[float]:
    """The losses of a run that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(command(output, data, tiny_folder), cwd=ROOT, check=True, capture_output=True, timeout=400)
    return curve(output)


def wait_for(process: subprocess.Popen[str], happened: Callable[[], object]) -> None:
    """Until it happened or the process has ended."""
    while process.poll() is None and not happened():
        time.sleep(0.001)


def moment(kind: int, output: Path, random_: random.Random) -> Callable[[], object]:
    """When a kill comes: while it starts, while a checkpoint is being written, or soon after one."""
    folder, begin = output / checkpoints.FOLDER, time.monotonic()
    if kind == 0:
        seconds = random_.uniform(0.1, 8)
        return lambda: time.monotonic() > begin + seconds
    before, left = checkpoints.latest(output), random_.uniform(0, 0.4)
    if kind == 1:
        return lambda: (folder / checkpoints.WRITING).exists()
    newer = lambda: any(path != before for path in folder.glob("checkpoint-*"))  # noqa: E731
    return lambda: newer() and not time.sleep(left)  # type: ignore[func-returns-value]


def test_kills_at_random_moments_leave_the_result_as_it_is(tmp_path: Path, start: Start, whole: list[float]) -> None:
    output, random_, ends = tmp_path / "out", random.Random(7), []
    for number in range(KILLS):
        when = moment(number % 3, output, random_)
        process = start(output)
        wait_for(process, when)
        process.kill()
        ends.append(process.wait())
    assert ends.count(-signal.SIGKILL) >= KILLS // 2, "too few kills met a running process"
    assert start(output).wait(400) == 0
    assert curve(output) == pytest.approx(whole, rel=1e-6)
    assert len(whole) == STEPS
    kept = sorted(path.name for path in (output / checkpoints.FOLDER).iterdir())
    assert kept == [f"checkpoint-{STEPS - 1}", f"checkpoint-{STEPS}"]  # save_total_limit, nothing half written


def test_sigterm_before_training_ends_with_143_and_takes_nothing(tmp_path: Path, start: Start) -> None:
    process = start(tmp_path / "out")
    wait_for(process, (tmp_path / "out" / ".lock").exists)
    process.terminate()
    assert process.wait(60) == 143
    assert "stopped outside of training" in process.stderr.read()  # type: ignore[union-attr]


def test_a_second_process_on_the_same_output_is_refused(tmp_path: Path, start: Start) -> None:
    first = start(tmp_path / "out")
    wait_for(first, lambda: (tmp_path / "out" / ".lock").exists() and (tmp_path / "out" / ".lock").read_text())
    first.send_signal(signal.SIGSTOP)
    second = start(tmp_path / "out")
    assert second.wait(120) == 1  # the next try may pass: the other lets go of it when it ends
    assert f"process {first.pid} of " in second.stderr.read()  # type: ignore[union-attr]
    first.kill()
    assert first.wait() == -signal.SIGKILL
    third = start(tmp_path / "out")
    wait_for(third, (tmp_path / "out" / fingerprint.FILE).exists)
    assert third.poll() is None, "the lock outlived its process"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 9 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", folder]).returncode == 0
    )
    if not mounted:
        pytest.skip("a small disk needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_ends_the_run_with_1_and_more_room_lets_it_go_on(
    small_disk: Path, start: Start, whole: list[float]
) -> None:
    limit = {"TrainingArguments.save_total_limit": 100}
    process = start(small_disk / "out", **limit)
    assert process.wait(400) == 1
    kept, said = checkpoints.latest(small_disk / "out"), process.stderr.read()  # type: ignore[union-attr]
    assert kept and f"GB are missing; {kept.name} is kept" in said and "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
    assert start(small_disk / "out", **limit).wait(400) == 0
    assert curve(small_disk / "out") == pytest.approx(whole, rel=1e-6)


def test_a_disk_too_full_for_the_adapter_ends_the_run_with_1(small_disk: Path, start: Start) -> None:
    subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)
    more = {"TrainingArguments.max_steps": 1, "TrainingArguments.save_strategy": "no", "LoraConfig.r": 256}
    process = start(small_disk / "out", **more)
    said = process.communicate(timeout=400)[1]
    assert process.returncode == 1 and "the disk is full" in said and "Traceback" not in said
    assert not (small_disk / "out" / "adapter").exists()
