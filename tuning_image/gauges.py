"""What /metrics says of the training. Set by training.progress, in several processes by the one that started them."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Gauge

GAUGES = {
    name: Gauge(f"tuning_{name}", text)
    for name, text in {
        "step": "Optimizer steps done",
        "steps_total": "Optimizer steps of the whole run",
        "loss": "Loss of the last step",
        "eval_loss": "Loss of the last evaluation",
        "tokens_per_second": "Tokens per second since this process started, of all processes together",
        "seconds_left": "Time left at this speed",
    }.items()
}


def show(entry: Mapping[str, Any]) -> None:
    """The values of one line of progress.jsonl."""
    for name, gauge in GAUGES.items():
        if name in entry:
            gauge.set(entry[name])
