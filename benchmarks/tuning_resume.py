"""Seconds from the start of the process to its first step, without and with a checkpoint to go on from.

Called by benchmarks.tuning.
"""

import json
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import small_model, tuning_run

ROOT = Path(__file__).parents[1]
ROUNDS = 2


def seconds(python: Path) -> tuple[float, float]:
    """Of a start and of going on, the shorter of two rounds each."""
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append((_until_next_step(python, Path(folder)), _until_next_step(python, Path(folder))))
    starts, resumed = zip(*rounds, strict=True)
    return min(starts), min(resumed)


def _until_next_step(python: Path, folder: Path) -> float:
    """Starts, waits for a step more than there are, and ends the process by SIGTERM, which leaves a checkpoint."""
    argv = ["--model", str(small_model.folder()), "--data", str(tuning_run.chats(folder)), "--output", f"{folder}/out"]
    command = [str(python), "-W", "ignore", "-m", "tuning_image", *argv, *tuning_run.flags(packing=True)]
    before, begin = _steps(folder), time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while _steps(folder) <= before:
            if process.poll() is not None:
                raise RuntimeError(f"tuning ended with {process.returncode} before its first step")
            time.sleep(0.02)
        taken = time.perf_counter() - begin
        process.send_signal(signal.SIGTERM)
        if process.wait() != 128 + signal.SIGTERM:
            raise RuntimeError(f"tuning ended with {process.returncode} after SIGTERM")
    return taken


def _steps(folder: Path) -> int:
    """The last step of progress.jsonl."""
    file = folder / "out" / "progress.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    steps = [json.loads(line)["step"] for line in lines if line.endswith("}")]
    return max(steps, default=0)
