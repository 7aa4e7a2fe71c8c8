"""Loss or gradient that is not a number ends the run with its rows named, before it reaches the adapter."""

import math
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_training import curve, settings

from tuning_image import run as running
from tuning_image.errors import UserError
from tuning_image.training import losses
from tuning_image.training.trainer import SCALER_STEPS, AdapterTrainer


def test_a_gradient_that_is_not_a_number_names_the_rows_of_its_step(
    tmp_path: Path, chats: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = AdapterTrainer.training_step

    def second(self: Any, model: Any, *given: Any, **named: Any) -> Any:
        loss = step(self, model, *given, **named)
        if self.state.global_step == 1:
            next(p for p in model.parameters() if p.grad is not None).grad[0, 0] = math.inf
        return loss

    monkeypatch.setattr(AdapterTrainer, "training_step", second)
    with pytest.raises(UserError, match=r"step 2: the gradient norm is (inf|nan)[\s\S]*chats.jsonl: row \d+"):
        running.run(settings(tmp_path / "out", chats, tiny_folder))
    assert len(curve(tmp_path / "out")) == 1 and not (tmp_path / "out" / "adapter").exists()


def test_a_loss_that_is_not_a_number_names_the_rows_of_its_batch(
    tmp_path: Path, chats: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = losses.token_losses
    monkeypatch.setattr(losses, "token_losses", lambda *given: of(*given) * math.nan)
    with pytest.raises(UserError, match=r"step 1: the loss is nan[\s\S]*chats.jsonl: row \d+"):
        running.run(settings(tmp_path / "out", chats, tiny_folder))


def trainer_of(*names: str) -> Any:
    """What `_judge` needs of a trainer, in its 31st step."""
    made = AdapterTrainer.__new__(AdapterTrainer)
    made.accelerator, made.state = SimpleNamespace(scaler=None), SimpleNamespace(global_step=30)  # type: ignore[assignment]
    made._overflows, made._norms, made._step_names, made.say = 0, deque(), list(names), print
    return made


def test_a_gradient_far_beyond_the_usual_is_told_with_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = trainer_of("a: row 1", "b: row 2")
    for norm in [1000.0, *[0.5] * 20, 9.0, 50.0]:  # nothing is usual at first
        AdapterTrainer._judge(trainer, norm)
    said = capsys.readouterr().out
    assert said.startswith(
        "step 31: the gradient norm is 50, 100 times the usual one; the rows of the step are\n  a: row"
    )
    assert said.count("gradient norm") == 1 and "b: row 2" in said


def test_the_scaler_of_float16_may_find_its_factor_first() -> None:
    scaled = trainer_of("a: row 1")
    scaled.accelerator.scaler = object()
    for norm in [*[math.inf] * SCALER_STEPS, 1.0, *[math.inf] * SCALER_STEPS]:
        AdapterTrainer._judge(scaled, norm)
    with pytest.raises(UserError, match="step 31"):
        AdapterTrainer._judge(scaled, math.inf)
