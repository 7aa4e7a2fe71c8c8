"""Three steps of training are those of TRL's SFTTrainer: loss, gradient, clipping, optimizer and schedule."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import read
from test_training import curve, loaded

from tuning_image import run as running

SET = {"max_steps": 3, "learning_rate": 1e-2, "per_device_train_batch_size": 12}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL uses former names of transformers
def test_three_steps_are_those_of_trl(tmp_path: Path, chats: Path, tiny_folder: Path) -> None:
    from datasets import Dataset
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    flags = [word for name, value in SET.items() for word in ("--set", f"TrainingArguments.{name}={value}")]
    chosen = read(tmp_path / "out", chats, *flags, model=tiny_folder)
    (tmp_path / "out").mkdir()
    ours, rows = loaded(chosen)
    base = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    theirs = get_peft_model(base, ours.peft_config["default"])
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if "lora_" in k}, strict=False)
    running.run(chosen)
    trainer: Any = SFTTrainer(
        model=theirs,
        args=SFTConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            bf16=False,
            report_to="none",
            logging_steps=1,
            save_strategy="no",
            **SET,
        ),
        train_dataset=Dataset.from_list([{"input_ids": list(r.ids), "labels": list(r.labels)} for r in rows]),
    )
    trainer.train()
    expected = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert curve(tmp_path / "out") == pytest.approx(expected, rel=1e-3) and len(expected) == 3
