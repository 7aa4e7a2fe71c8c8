"""Out of memory: fewer rows at a time, the same rows a step, said aloud; in a process whose memory truly ends."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, chat, jsonl
from safetensors.torch import load_file
from test_training import STEPS, curve

from tuning_image.training import memory

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


@pytest.fixture
def long_chats(tmp_path: Path) -> Path:
    """Eight rows of some 900 tokens."""
    return jsonl(tmp_path / "long.jsonl", [chat(f"Number {n}?", f"yes {n} " * 300) for n in range(8)])


def test_out_of_memory_halves_the_rows_at_a_time_and_the_result_stays(
    tmp_path: Path, tiny_folder: Path, long_chats: Path
) -> None:
    argv = ["--model", tiny_folder, "--data", long_chats, "--set", f"{ROWS}=8", "--output"]
    whole, ended = (
        run("-m", "tuning_image", *argv, tmp_path / "whole"),
        run("-c", ENDS_LATER, *argv, tmp_path / "ended"),
    )
    assert whole.returncode == ended.returncode == 0, ended.stderr[-2000:]
    assert "out of memory: on with 4 rows at a time, 2 times a step" in ended.stdout
    assert curve(tmp_path / "ended")[-6:] == pytest.approx(curve(tmp_path / "whole"), rel=1e-4)
    one, other = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("whole", "ended"))
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_too_little_memory_for_one_row_is_a_user_error(tmp_path: Path, tiny_folder: Path, long_chats: Path) -> None:
    found = limited(64, tiny_folder, long_chats, tmp_path / "out", 1)
    assert found.returncode == 42
    assert "out of memory with one row at a time; set TrainingArguments.gradient_checkpointing" in found.stderr


def test_out_of_memory_after_a_checkpoint_goes_on_from_it(tmp_path: Path, tiny_folder: Path, long_chats: Path) -> None:
    argv = ["--model", tiny_folder, "--data", long_chats, "--set", f"{ROWS}=8", "--output"]
    whole = run("-m", "tuning_image", *argv, tmp_path / "whole")
    ended = run("-c", ENDS_LATER, *argv, tmp_path / "ended", "--checkpoint-minutes", "0.000001")
    assert whole.returncode == ended.returncode == 0, ended.stderr[-2000:]
    assert "on with 4 rows at a time, 2 times a step\ntraining: goes on from checkpoint-2" in ended.stdout
    assert curve(tmp_path / "ended") == pytest.approx(curve(tmp_path / "whole"), rel=1e-4)


@pytest.mark.parametrize(("before", "after"), [((8, 1), (4, 2)), ((6, 1), (3, 2)), ((3, 1), (1, 3)), ((5, 2), (2, 5))])
def test_halving_keeps_the_rows_of_a_step(before: tuple[int, int], after: tuple[int, int]) -> None:
    assert memory.halved(*before) == after


def test_only_the_lack_of_memory_is_taken_for_it() -> None:
    assert memory.ran_out(torch.OutOfMemoryError("CUDA out of memory")) and memory.ran_out(MemoryError())
    assert not memory.ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
