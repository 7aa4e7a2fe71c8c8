"""Tuning against TRL as a user would run it: real tokens per second and peak memory, one process each, in one run; and
what checkpoints and going on from one cost.

Called by `python -m benchmarks tuning`, which needs .venv-images (`make setup-images`).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import tuning_resume

ROOT = Path(__file__).parents[1]
LORA = ("trl-padded-lora", "trl-packed-lora", "ours-padded-lora", "ours-packed-lora", "ours-saved-lora")
QLORA = ("trl-packed-qlora", "ours-packed-qlora")
BASELINES = ("trl-padded-lora", "trl-packed-lora")
MINUTES = 10  # between checkpoints, by default
Found = dict[str, dict[str, Any]]


def main() -> None:
    """Prints the table, a row when it is measured: some 20 minutes in all."""
    python = Path(os.environ.get("IMAGES_PYTHON") or ROOT / ".venv-images" / "bin" / "python")
    if not python.exists():
        sys.exit("benchmarks: tuning needs .venv-images; run make setup-images first")
    found: Found = {}
    print(f"{'tuning':20} {'tokens/s':>9} {'of TRL padded':>14} {'of TRL packed':>14} {'peak GB':>8}", flush=True)
    for name in LORA:
        _row(python, name, found)
    saved, without = found["ours-saved-lora"], found["ours-packed-lora"]
    each = (saved["seconds"] - without["seconds"]) / saved["steps"]
    print(f"a checkpoint takes {each:.2f} s: {each / 60 / MINUTES:.2%} of the time with one every {MINUTES} minutes")
    start, resumed = tuning_resume.seconds(python)
    print(
        f"first step after {start:.1f} s from a start and {resumed:.1f} s from a checkpoint: {resumed - start:+.1f} s",
        flush=True,
    )
    for name in QLORA:
        _row(python, name, found)


def _row(python: Path, name: str, found: Found) -> None:
    found[name] = _measure(python, name)
    speeds = {key: one["tokens"] / one["seconds"] for key, one in found.items()}
    ratios = [f"{speeds[name] / speeds[key]:.2f}" if key in speeds else "" for key in BASELINES]
    peak = found[name]["peak_bytes"] / 1e9
    print(f"{name:20} {speeds[name]:9.0f} {ratios[0]:>14} {ratios[1]:>14} {peak:8.1f}", flush=True)


def _measure(python: Path, name: str) -> dict[str, Any]:
    command = [str(python), "-W", "ignore", "-m", "benchmarks.tuning_run", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"benchmarks: {name} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
