"""Tuning against TRL as a user would run it: real tokens per second and peak memory, one process each, in one run; and
what checkpoints and going on from one cost.

Called by `python -m benchmarks tuning`, which needs .venv-images (`make setup-images`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import tuning_resume, tuning_run

ROOT = Path(__file__).parents[1]
LORA = ("trl-padded-lora", "trl-packed-lora", "ours-padded-lora", "ours-packed-lora", "ours-saved-lora")
QLORA = ("trl-packed-qlora", "ours-packed-qlora")
BASELINES = ("trl-padded-lora", "trl-packed-lora")
MINUTES = 10  # between checkpoints, by default
Found = dict[str, dict[str, Any]]


def main() -> None:
    """Prints the tables: some 25 minutes in all."""
    python = Path(os.environ.get("IMAGES_PYTHON") or ROOT / ".venv-images" / "bin" / "python")
    if not python.exists():
        sys.exit("benchmarks: tuning needs .venv-images; run make setup-images first")
    found = measured(python, LORA, range(tuning_run.PARTS))
    saved, without = found["ours-saved-lora"], found["ours-packed-lora"]
    each = (saved["seconds"] - without["seconds"]) / saved["steps"]
    print(f"a checkpoint takes {each:.2f} s: {each / 60 / MINUTES:.2%} of the time with one every {MINUTES} minutes")
    start, resumed = tuning_resume.seconds(python)
    print(
        f"first step after {start:.1f} s from a start and {resumed:.1f} s from a checkpoint: {resumed - start:+.1f} s"
    )
    measured(python, (*BASELINES, *QLORA), range(1))


def measured(python: Path, names: Sequence[str], parts: Sequence[int]) -> Found:
    """Sums over the parts of the chats. All take turns, so that a machine whose speed swings is as slow for each."""
    found: Found = {}
    for part in parts:
        for name in names:
            one = _measure(python, name, part)
            print(f"part {part + 1} of {len(parts)}: {name}: {one['tokens'] / one['seconds']:.0f} tokens/s", flush=True)
            before = found.setdefault(name, {"tokens": 0, "seconds": 0.0, "steps": 0, "peak_bytes": 0})
            peak = max(before["peak_bytes"], one["peak_bytes"])
            found[name] = {key: before[key] + one[key] for key in ("tokens", "seconds", "steps")} | {"peak_bytes": peak}
    speeds = {name: one["tokens"] / one["seconds"] for name, one in found.items()}
    print(f"{'tuning':20} {'tokens/s':>9} {'of TRL padded':>14} {'of TRL packed':>14} {'peak GB':>8}")
    for name, one in found.items():
        ratios = [speeds[name] / speeds[baseline] for baseline in BASELINES]
        print(f"{name:20} {speeds[name]:9.0f} {ratios[0]:14.2f} {ratios[1]:14.2f} {one['peak_bytes'] / 1e9:8.1f}")
    return found


def _measure(python: Path, name: str, part: int) -> dict[str, Any]:
    command = [str(python), "-W", "ignore", "-m", "benchmarks.tuning_run", name, str(part)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"benchmarks: {name} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
