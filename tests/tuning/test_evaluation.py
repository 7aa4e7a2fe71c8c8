"""Evaluation, early stopping and the best adapter; and that the loss is TRL's."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import read
from test_training import loaded

from tuning_image import run as running
from tuning_image.training import batches, losses, progress

SPLIT = ("--set", "DatasetConfig.train_test_split=0.7")
EACH_STEP = ("--set", "TrainingArguments.eval_strategy=steps", "--set", "TrainingArguments.eval_steps=1")


def evaluations(output: Path) -> list[float]:
    return [entry["eval_loss"] for entry in progress.entries(output / progress.FILE) if "eval_loss" in entry]


def test_training_ends_early_and_the_best_adapter_is_the_result(
    tmp_path: Path, chats: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--set", "TrainingArguments.learning_rate=0.5", "--early-stopping-patience", "2"]
    best = ["--set", "TrainingArguments.load_best_model_at_end=true"]
    running.run(read(tmp_path / "out", chats, *SPLIT, *EACH_STEP, *flags, *best, model=tiny_folder))
    found = evaluations(tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "adapter" / "metrics.json").read_text())
    assert len(found) == found.index(min(found)) + 3 < 24
    assert metrics["eval_loss"] == min(found)
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(min(found)))
    saved = [(tmp_path / "out" / name / "adapter_model.safetensors").read_bytes() for name in ("best", "adapter")]
    assert saved[0] == saved[1]
    said = capsys.readouterr().out.splitlines()
    assert {progress.line(entry) for entry in progress.entries(tmp_path / "out" / progress.FILE)} <= set(said)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL uses former names of transformers
def test_the_loss_of_a_batch_is_that_of_trl(tmp_path: Path, chats: Path, tiny_folder: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    (tmp_path / "out").mkdir()
    tuned, rows = loaded(read(tmp_path / "out", chats, model=tiny_folder))
    same = Dataset.from_list([{"input_ids": list(r.ids), "labels": list(r.labels)} for r in rows])
    trainer: Any = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32),
        args=SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none"),
        train_dataset=same,
    )
    batch = trainer.data_collator([trainer.train_dataset[n] for n in range(len(rows))])
    theirs = trainer.model(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")}).loss.detach()
    ours = losses.token_losses(tuned, batches.collate([tuple(rows)])).detach().mean()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-4)
