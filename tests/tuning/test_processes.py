"""Several processes train as one would, and end as one: with CPUs and gloo in the place of GPUs and NCCL."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jobs
import psutil
import pytest
from conftest import ROOT, chat, jsonl, read
from safetensors.torch import load_file
from test_training import STEPS, curve, interrupted_after

from tuning_image import fingerprint, gauges, processes, tuning
from tuning_image import run as running
from tuning_image.errors import OutOfMemoryError, StoppedError, TryAgainError, UserError
from tuning_image.training import batches

BATCH, PIECES = "TrainingArguments.per_device_train_batch_size", "TrainingArguments.gradient_accumulation_steps"
# Runs the image; memory ends in the second of two processes, in the third step, while it takes two rows at a time.
ENDS_IN_ONE = """
import sys
import torch
from tuning_image import __main__
from tuning_image.training import ranks
from tuning_image.training.trainer import AdapterTrainer

def third(self, *args, **kwargs):
    if ranks.rank() == 1 and self.state.global_step == 2 and self.args.per_device_train_batch_size == 2:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return step(self, *args, **kwargs)

step, AdapterTrainer.training_step = AdapterTrainer.training_step, third
if __name__ == "__main__":
    sys.exit(__main__.main(sys.argv[1:]))
"""


def told() -> tuple[list[dict[str, Any]], Callable[[dict[str, Any]], None]]:
    found: list[dict[str, Any]] = []
    return found, found.append


def running_of(children: list[psutil.Process]) -> list[psutil.Process]:
    """Those that do not end within a minute; one that nobody has waited for has ended."""
    end = time.monotonic() + 60
    while left := [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return left


def test_each_process_does_its_work_and_tells() -> None:
    found, tell = told()
    processes.together(jobs.tells, 3, ("yes",), tell)
    assert sorted(entry["rank"] for entry in found) == [0, 1, 2]
    assert {(entry["count"], entry["word"]) for entry in found} == {(3, "yes")}


@pytest.mark.parametrize(
    ("work", "kind", "says"),
    [(jobs.second_is_wrong, UserError, "row 7"), (jobs.second_dies, TryAgainError, "2 of 2 was killed by SIGKILL")],
)
def test_one_failure_ends_all_with_its_cause(work: Any, kind: type[Exception], says: str) -> None:
    found, tell = told()
    with pytest.raises(kind, match=says):
        processes.together(work, 2, (), tell)
    assert len(found) == 2 and not any(psutil.pid_exists(entry["pid"]) for entry in found)


def test_the_cause_goes_before_what_follows_from_it(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OutOfMemoryError):
        processes.together(jobs.first_loses_its_neighbour, 2, (), print)
    assert "Connection closed" in capfd.readouterr().err


@pytest.mark.parametrize("together", [False, True])
def test_a_process_that_waits_for_another_for_ever_says_so_and_ends_the_run(together: bool) -> None:
    with pytest.raises(TryAgainError, match=r"process 0 .* waited [18] s for another one, which is stuck"):
        processes.together(jobs.second_is_stuck, 2, (together,), print)


def test_a_process_that_does_its_work_and_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SECONDS_TO_END", 1.0)
    with pytest.raises(TryAgainError, match="rank 1: its work was done, and it did not end"):
        processes.together(jobs.second_does_not_end, 2, (), print)


def test_where_a_process_cannot_be_started_those_before_it_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    def second_fails(work: Any, place: processes.Place, given: Path) -> Any:
        if place.rank:
            raise OSError(12, "Cannot allocate memory")
        started.append(start(work, place, given))
        return started[0]

    start = processes._start
    monkeypatch.setattr(processes, "_start", second_fails)
    with pytest.raises(OSError, match="Cannot allocate"):
        processes.together(jobs.sleeps, 2, (), print)
    assert started[0].process.exitcode == -signal.SIGKILL


SLEEPING = "import jobs; from tuning_image import processes; processes.together(jobs.sleeps, 2, (), print)"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_first_process_ends(number: int) -> None:
    command, paths = [sys.executable, "-c", SLEEPING], f"{ROOT}:{ROOT / 'tests' / 'tuning'}"
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=-1, stderr=-1, text=True) as parent:
        assert parent.stdout and parent.stderr
        parent.stdout.readline()  # of the first; the second one's words go nowhere
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(number)
        assert len(children) >= 2 and not running_of(children)
        assert number == signal.SIGKILL or StoppedError.__name__ in parent.stderr.read()


def test_steps_have_the_same_rows_however_they_are_spread() -> None:
    def steps(at_once: int, count: int, pieces: int) -> list[set[int]]:
        shares = [list(batches.Share(13, at_once, rank, count, 7)) for rank in range(count)]
        together = [[row for share in shares for row in share[n]] for n in range(len(shares[0]))]
        assert sorted(row for rows in together for row in rows) == list(range(13))
        return [{r for rows in together[at : at + pieces] for r in rows} for at in range(0, len(together), pieces)]

    assert steps(4, 1, 1) == steps(2, 2, 1) == steps(1, 2, 2) == steps(1, 4, 1) == steps(1, 1, 4)


@pytest.fixture(scope="module")
def thirteen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One row more than two processes can share in the last step of an epoch."""
    rows = [chat(f"Number {n}?", "yes " * (n % 5 + 1)) for n in range(13)]
    return jsonl(tmp_path_factory.mktemp("rows") / "chats.jsonl", rows)


def argv(output: Path, data: Path, folder: Path, *flags: str) -> list[str]:
    return ["--model", str(folder), "--data", str(data), "--output", str(output), *STEPS, *flags]


def weights(output: Path) -> dict[str, Any]:
    return dict(load_file(output / "adapter" / "adapter_model.safetensors"))


def test_two_processes_learn_as_one_also_when_memory_ends_in_one(
    tmp_path: Path, thirteen: Path, tiny_folder: Path
) -> None:
    script, split = tmp_path / "ends.py", ("--set", "DatasetConfig.train_test_split=0.8")
    script.write_text(ENDS_IN_ONE)
    running.run(read(tmp_path / "one", thirteen, *STEPS, *split, "--set", f"{BATCH}=4", model=tiny_folder))
    flags = ("--processes", "2", "--set", f"{BATCH}=2", "--checkpoint-minutes", "0.000001", *split)
    command = [sys.executable, str(script), *argv(tmp_path / "two", thirteen, tiny_folder, *flags)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "processes: 2, each 1 rows at a time, 2 times a step" in done.stdout
    assert "goes on from checkpoint-2" in done.stdout
    for name in ("loss", "eval_loss"):
        assert values(tmp_path / "two", name) == pytest.approx(values(tmp_path / "one", name), rel=1e-5)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(two[name].numpy() == pytest.approx(one[name].numpy(), abs=1e-4) for name in one)


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path, thirteen: Path, tiny_folder: Path) -> None:
    each = ("--set", "TrainingArguments.save_total_limit=9", "--checkpoint-minutes", "0.000001")

    def learn(count: int) -> list[float]:
        flags = (*STEPS, *each, "--processes", str(count), "--set", f"{BATCH}={4 // count}")
        running.run(read(tmp_path / "out", thirteen, *flags, model=tiny_folder))
        return values(tmp_path / "out", "loss")

    whole = learn(1)
    interrupted_after(2, tmp_path / "out")
    assert learn(2) == pytest.approx(whole, rel=1e-5)
    interrupted_after(4, tmp_path / "out")
    assert learn(1) == pytest.approx(whole, rel=1e-5)


def values(output: Path, name: str) -> list[float]:
    lines = (output / "progress.jsonl").read_text().splitlines()
    return [entry[name] for entry in map(json.loads, lines) if name in entry]


def test_sigterm_stops_all_and_the_curve_goes_on(tmp_path: Path, thirteen: Path, tiny_folder: Path) -> None:
    flags = ("--processes", "2", "--set", "LoraConfig.lora_dropout=0.1", "--checkpoint-minutes", "0.000001")

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tuning_image", *argv(tmp_path / name, thirteen, tiny_folder, *flags)]
        return subprocess.Popen(command, cwd=ROOT, text=True, stderr=-1)

    assert start("whole").communicate()[1] is not None
    with start("ended") as process:
        while not list((tmp_path / "ended" / "checkpoints").glob("checkpoint-[2-9]")) and process.poll() is None:
            time.sleep(0.005)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert "SIGTERM: stopped at step" in process.communicate(timeout=120)[1]
        assert process.returncode == 143 and not running_of(children)
    states = list((tmp_path / "ended" / "checkpoints").glob("*/rng_state_*.pth"))
    assert {path.name for path in states} == {"rng_state_0.pth", "rng_state_1.pth"}
    assert "Traceback" not in start("ended").communicate()[1]
    assert curve(tmp_path / "ended") == pytest.approx(curve(tmp_path / "whole"), rel=1e-6)


def test_another_number_of_processes_is_refused_unless_the_rows_of_a_step_stay(tmp_path: Path, chats: Path) -> None:
    fingerprint.refuse_other_rows_a_step(read(tmp_path, chats), 4)
    fingerprint.refuse_other_rows_a_step(read(tmp_path, chats), 4)
    with pytest.raises(UserError, match="of 4 rows a step, and this one makes 2"):
        fingerprint.refuse_other_rows_a_step(read(tmp_path, chats), 2)


def test_one_row_at_a_time_that_is_too_much_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chats: Path
) -> None:
    seen: list[Any] = []

    def ends(*given: Any) -> None:
        seen.append(given[2][2])
        raise OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(processes, "together", ends)
    with pytest.raises(UserError, match="out of memory with one row at a time"):
        tuning.tune(read(tmp_path, chats, "--processes", "2", "--set", f"{BATCH}=4"), None)  # type: ignore[arg-type]
    assert seen == [(4, 1), (2, 2), (1, 4)] and gauges.GAUGES


def test_what_does_not_change_the_numbers_may_change(tmp_path: Path, chats: Path) -> None:
    prepared = running.prepare(read(tmp_path, chats))
    for flags in ([], ["logging_steps=3"], ["save_steps=7"], ["per_device_train_batch_size=1"]):
        named = [part for flag in flags for part in ("--set", f"TrainingArguments.{flag}")]
        fingerprint.refuse_another_run(read(tmp_path, chats, *named), prepared)
    with pytest.raises(UserError, match="holds a run with other settings"):
        fingerprint.refuse_another_run(read(tmp_path, chats, "--set", "LoraConfig.r=4"), prepared)


@pytest.mark.parametrize("best", [False, True])
def test_how_often_it_evaluates_may_change_unless_that_chooses_the_result(
    tmp_path: Path, chats: Path, best: bool
) -> None:
    flags = ("--set", "DatasetConfig.train_test_split=0.5", "--set", f"TrainingArguments.load_best_model_at_end={best}")
    prepared = running.prepare(read(tmp_path, chats, *flags))
    fingerprint.refuse_another_run(read(tmp_path, chats, *flags), prepared)
    steps = ("--set", "TrainingArguments.eval_strategy=steps", "--set", "TrainingArguments.eval_steps=7")
    refused = pytest.raises(UserError, match="holds a run with other settings") if best else contextlib.nullcontext()
    with refused:
        fingerprint.refuse_another_run(read(tmp_path, chats, *flags, *steps), prepared)
