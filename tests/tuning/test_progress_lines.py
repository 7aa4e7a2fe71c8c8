"""What the log says after each step: lines that `kaito status` reads; tests/unit/live holds it to the same file."""

import contextlib
import json
import os
import pty
from pathlib import Path
from types import SimpleNamespace

import pytest

from tuning_image.training import progress

LINES = [
    json.loads(text) for text in (Path(__file__).parents[1] / "data/tuning_progress.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("known", LINES, ids=lambda known: f"step {known['entry']['step']}")
def test_a_step_is_said_as_others_read_it(known: dict[str, object]) -> None:
    assert progress.line(known["entry"]) == known["line"]


def everything(terminal: int) -> str:
    """What was written to it before its other side was closed, which Linux tells by EIO."""
    found = b""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 10_000):
            found += part
    os.close(terminal)
    return found.decode()


def test_a_terminal_shows_one_line_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    state = SimpleNamespace(global_step=0, max_steps=3, is_world_process_zero=True)
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        shown = progress.Progress(tmp_path, lambda _: None)
        shown.trainer = SimpleNamespace(seen_tokens=10)
        shown.on_train_begin(None, state, None)
        for state.global_step, logs in (
            (1, {"loss": 3.0}),
            (2, {"loss": 2.0}),
            (2, {"eval_loss": 2.5}),
            (3, {"loss": 1.0}),
        ):
            shown.on_log(None, state, None, logs=logs)
        shown.end_line()
        shown.end_line()
    first, second, last, rest = everything(ours).split("\r\n")
    assert first.count("\r\x1b[K") == 2 and "loss 3.0" in first and "loss 2.0" in first.rpartition("\r")[2]
    assert "eval loss 2.5" in second and "loss 1.0" in last and not rest
