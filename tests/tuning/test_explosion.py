"""Loss or gradient that is not a number ends the run with its rows named, before it reaches the adapter."""

import math
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


def test_the_scaler_of_float16_may_find_its_factor_first() -> None:
    scaled: Any = SimpleNamespace(_overflows=0, accelerator=SimpleNamespace(scaler=object()), _step_names=["a: row 1"])
    scaled.state = SimpleNamespace(global_step=30)
    for norm in [*[math.inf] * SCALER_STEPS, 1.0, *[math.inf] * SCALER_STEPS]:
        AdapterTrainer._judge(scaled, norm)
    with pytest.raises(UserError, match="step 31"):
        AdapterTrainer._judge(scaled, math.inf)
