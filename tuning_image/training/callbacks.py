"""When to save, when to stop, and what is best. Made by training.train; transformers calls the hooks."""

import shutil
import signal
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from tuning_image.training import ranks

BEST = "best"


class SaveByTime(TrainerCallback):
    """A checkpoint when so many minutes have passed since the last."""

    def __init__(self, minutes: float) -> None:
        self._seconds, self._last = minutes * 60, time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._seconds and ranks.anyone(time.monotonic() - self._last >= self._seconds):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._last = time.monotonic()


class AskedSteps(TrainerCallback):
    """`logging_steps`, `save_steps` and `eval_steps` as asked for now: transformers goes on with the checkpoint's."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        state.compute_steps(args, state.max_steps)


class StopOnSignal(TrainerCallback):
    """After SIGTERM the running step ends, a checkpoint is written and training stops."""

    def __init__(self) -> None:
        self.stopped = False
        self._before: Any = signal.getsignal(signal.SIGTERM)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._before = signal.signal(signal.SIGTERM, self._remember)

    def done(self) -> None:
        """What SIGTERM meant before, it means again."""
        signal.signal(signal.SIGTERM, self._before)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.stopped = ranks.anyone(self.stopped)
        if self.stopped and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True

    def _remember(self, *_: Any) -> None:
        self.stopped = True


class KeepBest(TrainerCallback):
    """The adapter with the lowest evaluation loss, in `best/`; ends training when patience is over."""

    def __init__(self, output: Path, patience: int | None) -> None:
        self._folder, self._patience = output / BEST, patience

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        best = losses.index(min(losses))
        if best == len(losses) - 1 and state.is_world_process_zero:
            staging = self._folder.with_name(".best")
            model.save_pretrained(staging)
            shutil.rmtree(self._folder, ignore_errors=True)
            staging.rename(self._folder)
        if self._patience and len(losses) - 1 - best >= self._patience:
            print(f"early stopping: no better evaluation loss than {losses[best]:.4f} in {self._patience} evaluations")
            control.should_training_stop = True
