"""How far training is: a line per step or one that stays, `progress.jsonl`, `loss.png`. Called by training.train."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

FILE = "progress.jsonl"
BAR_WIDTH = 24


class Progress(TrainerCallback):
    """Tells the log, the file and `told`, in the main process. `trainer` is set once it exists."""

    def __init__(self, output: Path, told: Callable[[dict[str, Any]], None]) -> None:
        self._told = told
        self._file, self._picture = output / FILE, output / "loss.png"
        self.trainer: Any = None
        self._start, self._first_step = 0.0, 0
        self._line_is_open = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._start, self._first_step = time.monotonic(), state.global_step
        if not state.is_world_process_zero:
            return
        kept = [entry for entry in entries(self._file) if entry["step"] <= state.global_step]
        self._file.write_text("".join(json.dumps(entry) + "\n" for entry in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not logs or not state.is_world_process_zero or not {"loss", "eval_loss"} & set(logs):
            return
        entry = {"step": state.global_step, "steps_total": state.max_steps, **logs, **self._speed(state)}
        with self._file.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        self._told(entry)
        self._show(entry)

    def _show(self, entry: dict[str, Any]) -> None:
        """A line each in a log; on a terminal one that stays, and below it each evaluation."""
        if not sys.stdout.isatty():
            print(line(entry), flush=True)
            return
        if "eval_loss" in entry:
            self.end_line()
        self._line_is_open = "loss" in entry
        text = line(entry)[: shutil.get_terminal_size().columns - 1]
        print(f"\r\x1b[K{text}", end="" if self._line_is_open else "\n", flush=True)

    def end_line(self) -> None:
        """Before anything else is said."""
        if self._line_is_open:
            print(flush=True)
        self._line_is_open = False

    def say(self, text: str) -> None:
        """Something else, on lines of its own."""
        self.end_line()
        print(text, flush=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            draw(self._picture, entries(self._file))

    def _speed(self, state: Any) -> dict[str, float]:
        seconds = time.monotonic() - self._start
        done = max(state.global_step - self._first_step, 1)
        left = (state.max_steps - state.global_step) * seconds / done
        return {"tokens_per_second": round(self.trainer.seen_tokens / seconds, 1), "seconds_left": round(left, 1)}


def entries(file: Path) -> list[dict[str, Any]]:
    """All lines but one that a kill cut short."""
    lines = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(text) for text in lines if text.endswith("}\n")]


def line(entry: dict[str, Any]) -> str:
    """One entry for human eyes."""
    done = round(BAR_WIDTH * entry["step"] / entry["steps_total"])
    bar = "█" * done + "·" * (BAR_WIDTH - done)
    what = f"loss {entry['loss']:.4f}" if "loss" in entry else f"eval loss {entry['eval_loss']:.4f}"
    minutes, seconds = divmod(round(entry["seconds_left"]), 60)
    speed = f"{entry['tokens_per_second']:.0f} tokens/s"
    return f"{bar} step {entry['step']}/{entry['steps_total']}  {what}  {speed}  {minutes}:{seconds:02d} left"


def draw(path: Path, found: list[dict[str, Any]]) -> None:
    """Loss over steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, colour, marker in (("loss", "#4477aa", ""), ("eval_loss", "#cc3311", "o")):
        points = [(entry["step"], entry[name]) for entry in found if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=name.replace("_", " "))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(title="Loss", xlabel="step", ylabel="cross entropy per learned token")
    if found:
        axes.legend()
    figure.savefig(path, dpi=110)
