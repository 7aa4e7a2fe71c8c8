"""Does the tuning image do on a GPU what it does on a CPU. Called by gpu_run, each check in a process."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import gpu_models, tuning_run
from benchmarks.gpu_models import Place

STEPS = 24
# Runs the image in a process that may take only this share of the GPU, as if the GPU were smaller.
SMALLER = "import sys, torch; torch.cuda.set_per_process_memory_fraction({share}); " \
    "from tuning_image.__main__ import main; sys.exit(main(sys.argv[1:]))"  # fmt: skip


def command(place: Place, model: Path, output: Path, *flags: str, start: tuple[str, ...] = ()) -> list[str]:
    """`python -m tuning_image` on chats, with settings under which the loss falls within a few steps."""
    place.output.joinpath("data").mkdir(exist_ok=True)
    data = place.output / "data" / "chats.jsonl"
    if not data.exists():
        tuning_run.chats(data.parent)
    chosen = {
        "ModelConfig.device_map": place.device, "LoraConfig.r": 16, "TrainingArguments.learning_rate": 0.001,
        "LoraConfig.target_modules": f"[{','.join(gpu_models.LINEAR)}]", "TrainingArguments.max_steps": STEPS,
        "TrainingArguments.per_device_train_batch_size": 4, "TrainingArguments.assistant_only_loss": "false",
    }  # fmt: skip
    argv = [sys.executable, *(start or ("-m", "tuning_image")), "--model", str(model), "--data", str(data)]
    argv += ["--output", str(output), "--checkpoint-minutes", "0"]
    for name, value in chosen.items():
        argv += ["--set", f"{name}={value}"]
    return [*argv, *flags]


def run(argv: list[str]) -> str:
    """To its end; what it said."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, file=sys.stderr)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stdout[-1200:]}"
    return done.stdout


def losses(output: Path) -> dict[int, float]:
    """By step."""
    entries = [json.loads(line) for line in (output / "progress.jsonl").read_text().splitlines()]
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}


def learned(place: Place, model: Path, *flags: str) -> dict[str, Any]:
    """The figures of a run whose loss must fall."""
    output = place.output / f"out{len(list(place.output.iterdir()))}"
    said = run(command(place, model, output, *flags))
    found = losses(output)
    first, last = found[1], sum(found[step] for step in range(STEPS - 3, STEPS + 1)) / 4
    assert last < 0.98 * first, f"the loss went from {first} to {last}"
    metrics = json.loads((output / "adapter" / "metrics.json").read_text())
    kind = next(line for line in said.splitlines() if line.startswith("precision:"))
    return {
        "loss": f"{first:.2f} to {last:.2f}",
        "kind": kind.removeprefix("precision: "),
        "peak GB": round((metrics["peak_gpu_bytes"] or 0) / 1e9, 2),
    }


def lora(place: Place) -> dict[str, Any]:
    """LoRA in the GPU's own precision."""
    return learned(place, place.large)


def lora_float16(place: Place) -> dict[str, Any]:
    """LoRA as a V100 needs it: with loss scaling."""
    return learned(place, place.small, "--set", "ModelConfig.torch_dtype=float16")


def qlora(place: Place) -> dict[str, Any]:
    """4 bit, in the GPU's own precision and in float16."""
    found = learned(place, place.large, "--method", "qlora")
    if place.device == "cuda":
        other = learned(place, place.small, "--method", "qlora", "--set", "ModelConfig.torch_dtype=float16")
        found["float16"] = other
    return found


def eight_bit(place: Place) -> dict[str, Any]:
    """8 bit."""
    return learned(place, place.large, "--set", "QuantizationConfig.load_in_8bit=true")


def resumes(place: Place) -> dict[str, Any]:
    """After kill -9 the same command goes on, and the losses are those of a run that nobody killed."""
    whole, killed = place.output / "whole", place.output / "killed"
    saving = ("--set", "TrainingArguments.save_strategy=steps", "--set", "TrainingArguments.save_steps=4")
    run(command(place, place.small, whole, *saving))
    argv = command(place, place.small, killed, *saving)
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(killed.glob("checkpoints/checkpoint-*"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "adapter").exists(), "it was done before it could be killed"
    said = run(argv)
    assert "goes on from checkpoint-" in said
    one, other = losses(whole), losses(killed)
    assert one.keys() == other.keys()
    gap = max(abs(one[step] - other[step]) / one[step] for step in one)
    assert gap < 0.01, f"the losses differ by {gap:.4f} of their size"
    return {"largest difference of a loss": f"{gap:.1e} of its size"}


def out_of_memory(place: Place) -> dict[str, Any]:
    """On a GPU that is too small for the micro batch it halves it, as often as need be, and comes to its end."""
    if place.device != "cuda":
        return {"not there": "without a GPU"}
    import torch

    share = 2.5e9 / torch.cuda.get_device_properties(0).total_memory
    start = ("-c", SMALLER.format(share=share))
    flags = ("--set", "TrainingArguments.per_device_train_batch_size=32")
    flags += ("--set", "TrainingArguments.gradient_checkpointing=false", "--set", "TrainingArguments.max_steps=4")
    said = run(command(place, place.small, place.output / "out", *flags, start=start))
    halvings = [line for line in said.splitlines() if "out of memory: on with" in line]
    assert halvings and losses(place.output / "out")[4]
    return {"halvings": len(halvings), "last": halvings[-1]}


CHECKS = {
    "lora": lora, "lora-float16": lora_float16, "qlora": qlora, "8-bit": eight_bit, "resumes": resumes,
    "out-of-memory": out_of_memory,
}  # fmt: skip
