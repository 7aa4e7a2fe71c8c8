"""DPO and ORPO: the formulas of their papers, and a model that learns to prefer."""

from pathlib import Path

import pytest
import torch
from conftest import jsonl, read
from test_training import curve

from tuning_image import run as running
from tuning_image.training import losses

STEPS = ("--set", "TrainingArguments.max_steps=4", "--set", "TrainingArguments.learning_rate=2e-2")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [{"prompt": f"Say {n}:", "chosen": " yes please", "rejected": " no"} for n in range(4)]
    return jsonl(tmp_path / "pairs.jsonl", rows)


@pytest.mark.parametrize("kind", ["dpo", "orpo"])
def test_the_loss_of_preferring_falls(tmp_path: Path, tiny_folder: Path, pairs: Path, kind: str) -> None:
    running.run(
        read(tmp_path / "out", pairs, *STEPS, "--set", f"TrainingArguments.loss_type={kind}", model=tiny_folder)
    )
    found = curve(tmp_path / "out")
    assert found[-1] < found[0]
    if kind == "dpo":  # an untrained adapter prefers nothing: -log sigmoid 0
        assert found[0] == pytest.approx(0.6931, abs=1e-3)


def test_orpo_is_the_formula_of_its_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    sums, counts = (torch.tensor([-2.0]), torch.tensor([-6.0])), torch.tensor([4, 3])
    monkeypatch.setattr(losses, "_log_probabilities", lambda *_: (*sums, counts))
    chosen, rejected = torch.tensor(-0.5), torch.tensor(-2.0)
    odds = torch.log(chosen.exp() / (1 - chosen.exp())) - torch.log(rejected.exp() / (1 - rejected.exp()))
    expected = 0.5 - 0.1 * torch.log(torch.sigmoid(odds))
    assert losses.pair_losses(None, {}, "orpo", 0.1).item() == pytest.approx(expected.item(), rel=1e-5)
