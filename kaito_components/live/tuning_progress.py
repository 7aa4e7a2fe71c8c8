"""How far a tuning Job is, from the lines that the tuning image prints after each step. Pure.

Read by `logs`. `tests/data/tuning_progress.jsonl` holds the image's lines, and both sides' tests to them.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from kaito_components.units import duration

_LINE = re.compile(
    r"step (?P<step>\d+)/(?P<steps>\d+)  (?P<kind>eval loss|loss) (?P<loss>\S+)  "
    r"(?P<speed>\d+) tokens/s  (?P<minutes>\d+):(?P<seconds>\d\d) left$"
)


@dataclass(frozen=True)
class TuningProgress:
    """The newest words about each figure; a loss that was not said yet is None."""

    step: int
    steps: int
    tokens_per_second: int
    seconds_left: int
    loss: float | None = None
    eval_loss: float | None = None

    def __str__(self) -> str:
        losses = {"loss": self.loss, "eval loss": self.eval_loss}
        words = "".join(f", {name} {value:.4f}" for name, value in losses.items() if value is not None)
        share = 100 * self.step // max(self.steps, 1)
        left = duration(self.seconds_left)
        return f"step {self.step}/{self.steps} ({share} %){words}, {self.tokens_per_second} tokens/s, {left} left"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which knows no NaN: a loss that is no number is null."""
        losses = {"loss": self.loss, "evalLoss": self.eval_loss}
        return {
            "step": self.step,
            "steps": self.steps,
            **{name: value if math.isfinite(value) else None for name, value in losses.items() if value is not None},
            "tokensPerSecond": self.tokens_per_second,
            "secondsLeft": self.seconds_left,
        }


def progress_of(lines: Iterable[str]) -> TuningProgress | None:
    """What the lines of a log tell, the newest last; None where they tell nothing."""
    found: TuningProgress | None = None
    for match in filter(None, map(_LINE.search, lines)):
        field = "eval_loss" if match["kind"] == "eval loss" else "loss"
        before = found or TuningProgress(0, 0, 0, 0)
        found = replace(
            before,
            step=int(match["step"]),
            steps=int(match["steps"]),
            tokens_per_second=int(match["speed"]),
            seconds_left=60 * int(match["minutes"]) + int(match["seconds"]),
            **{field: float(match["loss"])},
        )
    return found
