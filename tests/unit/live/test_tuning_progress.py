"""How far a tuning Job is, from its log; tests/tuning holds the image to the same lines."""

import json
from pathlib import Path
from typing import Any

import pytest
from observed import goal, running_pod, snapshot, tuning, tuning_snapshot

from kaito_components.live.status import tuning_log
from kaito_components.live.tuning_progress import progress_of

LINES = [
    json.loads(text) for text in (Path(__file__).parents[2] / "data/tuning_progress.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("known", LINES, ids=lambda known: f"step {known['entry']['step']}")
def test_a_line_of_the_image_is_read_to_its_last_figure(known: dict[str, Any]) -> None:
    entry, read = known["entry"], progress_of([known["line"]])
    assert read is not None and (read.step, read.steps) == (entry["step"], entry["steps_total"])
    assert read.tokens_per_second == round(entry["tokens_per_second"])
    assert read.seconds_left == round(entry["seconds_left"])
    assert read.loss == (pytest.approx(entry["loss"], abs=1e-4, nan_ok=True) if "loss" in entry else None)
    assert read.eval_loss == (pytest.approx(entry["eval_loss"], abs=1e-4) if "eval_loss" in entry else None)


def test_the_newest_figures_of_both_losses_are_told_together() -> None:
    read = progress_of(
        ["data: 12 rows to learn", *(known["line"] for known in LINES[:4]), "adapter: /mnt/results/adapter"]
    )
    assert str(read) == "step 40/1200 (3 %), loss 1.8312, eval loss 11.0403, 2316 tokens/s, 123m left"


def test_a_loss_that_is_no_number_is_null_in_json() -> None:
    read = progress_of([LINES[4]["line"]])
    assert read and json.loads(json.dumps(read.as_dict(), allow_nan=False))["loss"] is None


@pytest.mark.parametrize("line", ["", "This container is simulated", "step 1/2  loss 1  2 tokens/s  soon left"])
def test_other_lines_tell_nothing(line: str) -> None:
    assert progress_of([line]) is None


def test_only_a_job_that_runs_has_a_log_of_steps() -> None:
    where = tuning_log(tuning_snapshot(running_pod(owner="phi")), tuning())
    assert where and (where.pod, where.container) == ("phi-rs2-x", "inference")
    assert tuning_log(tuning_snapshot(), tuning()) is None and tuning_log(snapshot(), goal()) is None
