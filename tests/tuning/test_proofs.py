"""The adapter does what tuning promises: the base stays as it was, merged equals unmerged, variants learn.

That a fact is learned is in test_quickstart.py.
"""

from pathlib import Path

import pytest
import torch
from test_training import curve, loaded, settings

from tuning_image import gauges
from tuning_image import run as running
from tuning_image.training import train


def test_the_base_weights_stay_as_they_were(tmp_path: Path, chats: Path, tiny_folder: Path) -> None:
    chosen = settings(tmp_path / "out", chats, tiny_folder)
    (tmp_path / "out").mkdir()
    tuned, rows = loaded(chosen)
    before = {name: p.clone() for name, p in tuned.named_parameters() if "lora_" not in name}
    train.train(chosen, tuned, rows, [], (1, 1), gauges.show)
    assert before and all(torch.equal(p, before[name]) for name, p in tuned.named_parameters() if name in before)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_merged_weights_answer_as_the_adapter_does(tmp_path: Path, chats: Path, tiny_folder: Path, method: str) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    running.run(settings(tmp_path / "out", chats, tiny_folder, "--method", method, "--merge"))
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "merged")
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    tuned = PeftModel.from_pretrained(base, str(tmp_path / "out" / "adapter"))
    ids = torch.arange(100, 140)[None]
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, tuned(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", ["LoraConfig.use_rslora=true", "LoraConfig.use_dora=true",
                                     "TrainingArguments.neftune_noise_alpha=5",
                                     "TrainingArguments.gradient_checkpointing=true",
                                     "TrainingArguments.packing=true", "TrainingArguments.optim=adamw_8bit",
                                     "TrainingArguments.optim=adafactor", "TrainingArguments.optim=sgd"])  # fmt: skip
def test_variants_learn(tmp_path: Path, chats: Path, tiny_folder: Path, variant: str) -> None:
    running.run(settings(tmp_path / "out", chats, tiny_folder, "--set", variant))
    assert curve(tmp_path / "out")[-1] < curve(tmp_path / "out")[0]
