"""What the log says after each step: lines that `kaito status` reads; tests/unit/live holds it to the same file."""

import json
from pathlib import Path

import pytest

from tuning_image.training import progress

LINES = [
    json.loads(text) for text in (Path(__file__).parents[1] / "data/tuning_progress.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("known", LINES, ids=lambda known: f"step {known['entry']['step']}")
def test_a_step_is_said_as_others_read_it(known: dict[str, object]) -> None:
    assert progress.line(known["entry"]) == known["line"]
