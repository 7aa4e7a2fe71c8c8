"""Out of memory: fewer rows at a time, the same rows a step, said aloud; in a process whose memory truly ends."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, chat, jsonl
from safetensors.torch import load_file
from test_training import STEPS, curve, settings

from tuning_image import run as running
from tuning_image.training import losses, memory, progress

# Runs the image with a limit on its address space, set when training is about to start: what is loaded stays.
LIMITED = """
import resource, sys
from tuning_image import __main__
from tuning_image.training import train

def limited(*args, **kwargs):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20, resource.RLIM_INFINITY))
    return once(*args, **kwargs)

once, train._once = train._once, limited
sys.exit(__main__.main(sys.argv[2:]))
"""
# Runs the image with memory that ends once, in the third step: two updates are done then.
ENDS_LATER = """
import sys, torch
from tuning_image import __main__
from tuning_image.training.trainer import AdapterTrainer

def third(*args, **kwargs):
    steps.append(1)
    if len(steps) == 3:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return step(*args, **kwargs)

steps, step, AdapterTrainer.training_step = [], AdapterTrainer.training_step, third
sys.exit(__main__.main(sys.argv[1:]))
"""
# Says how many blocks lie outside of glibc's heap after one more, without and with its limit as a training sets it.
GIVES_BACK = """
import ctypes, torch
from tuning_image.training import memory

class Account(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks a b c d e f".split()]

outside, large = ctypes.CDLL(None).mallinfo2, torch.empty(20 << 20, dtype=torch.uint8)
outside.restype = Account
del large
for given_back in (False, True):
    if given_back:
        memory.give_back_freed()
    before = outside().hblks
    kept = torch.empty(3 << 20, dtype=torch.uint8)
    print(outside().hblks - before)
"""
ROWS = "TrainingArguments.per_device_train_batch_size"


def limited(mebibytes: int, model: Path, data: Path, output: Path, rows: int) -> subprocess.CompletedProcess[str]:
    """A run that may take so much more memory than the loaded model."""
    return run(
        "-c", LIMITED, mebibytes, "--model", model, "--data", data, "--output", output, "--set", f"{ROWS}={rows}"
    )


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Python with these arguments and the usual steps."""
    command = [sys.executable, *map(str, arguments), *STEPS]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def long_chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight rows of some 900 tokens."""
    folder = tmp_path_factory.mktemp("long")
    return jsonl(folder / "long.jsonl", [chat(f"Number {n}?", f"yes {n} " * 300) for n in range(8)])


@pytest.fixture(scope="module")
def whole(long_chats: Path, tiny_folder: Path) -> Path:
    """The output of a run that nothing disturbed."""
    found = run("-m", "tuning_image", *argv(tiny_folder, long_chats), "--output", long_chats.parent / "out")
    assert found.returncode == 0, found.stderr[-2000:]
    return long_chats.parent / "out"


def argv(model: Path, data: Path) -> list[object]:
    return ["--model", model, "--data", data, "--set", f"{ROWS}=8"]


def test_out_of_memory_halves_the_rows_at_a_time_and_the_result_stays(
    tmp_path: Path, tiny_folder: Path, long_chats: Path, whole: Path
) -> None:
    ended = run("-c", ENDS_LATER, *argv(tiny_folder, long_chats), "--output", tmp_path)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "out of memory: on with 4 rows at a time, 2 times a step" in ended.stdout
    assert curve(tmp_path)[-6:] == pytest.approx(curve(whole), rel=1e-4)
    one, other = (load_file(output / "adapter" / "adapter_model.safetensors") for output in (whole, tmp_path))
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_too_little_memory_for_one_row_is_a_user_error(tmp_path: Path, tiny_folder: Path, long_chats: Path) -> None:
    found = limited(64, tiny_folder, long_chats, tmp_path / "out", 1)
    assert found.returncode == 42
    assert "out of memory with one row at a time; set TrainingArguments.gradient_checkpointing" in found.stderr


def test_out_of_memory_after_a_checkpoint_goes_on_from_it(
    tmp_path: Path, tiny_folder: Path, long_chats: Path, whole: Path
) -> None:
    each = ("--output", tmp_path, "--checkpoint-minutes", "0.000001")
    ended = run("-c", ENDS_LATER, *argv(tiny_folder, long_chats), *each)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "on with 4 rows at a time, 2 times a step\ntraining: goes on from checkpoint-2" in ended.stdout
    assert curve(tmp_path) == pytest.approx(curve(whole), rel=1e-4)


def test_an_evaluation_that_runs_out_of_memory_takes_fewer_rows_at_a_time(
    tmp_path: Path, chats: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def few(model: Any, batch: Any) -> torch.Tensor:
        if not torch.is_grad_enabled() and len(batch["segments"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return of(model, batch)

    of, found = losses.token_losses, []
    monkeypatch.setattr(losses, "token_losses", few)
    for most in (8, 1):
        output = tmp_path / str(most)
        running.run(settings(output, chats, tiny_folder, "--set", "DatasetConfig.train_test_split=0.5"))
        found.append([entry["eval_loss"] for entry in progress.entries(output / progress.FILE) if "eval_loss" in entry])
    assert found[0] == pytest.approx(found[1], rel=1e-6) and found[0]
    said = capsys.readouterr().out
    assert [said.count(f"out of memory: evaluates {rows} rows at a time") for rows in (4, 2, 1)] == [1, 1, 1]


@pytest.mark.parametrize(("before", "after"), [((8, 1), (4, 2)), ((6, 1), (3, 2)), ((3, 1), (1, 3)), ((5, 2), (2, 5))])
def test_halving_keeps_the_rows_of_a_step(before: tuple[int, int], after: tuple[int, int]) -> None:
    assert memory.halved(*before) == after


def test_only_the_lack_of_memory_is_taken_for_it() -> None:
    assert memory.ran_out(torch.OutOfMemoryError("CUDA out of memory")) and memory.ran_out(MemoryError())
    assert not memory.ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_large_blocks_that_are_freed_are_given_back_when_asked() -> None:
    found = subprocess.run([sys.executable, "-c", GIVES_BACK], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert found.stdout.split() == ["0", "1"], found.stderr
