"""The adapter does what tuning promises: the base stays as it was, merged equals unmerged, variants learn.

That a fact is learned is in test_quickstart.py.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import chat, jsonl
from test_training import curve, loaded, settings

from tuning_image import gauges
from tuning_image import run as running
from tuning_image.training import lean, memory, train


def test_the_base_weights_stay_as_they_were(tmp_path: Path, chats: Path, tiny_folder: Path) -> None:
    chosen = settings(tmp_path / "out", chats, tiny_folder)
    (tmp_path / "out").mkdir()
    tuned, rows = loaded(chosen)
    before = {name: p.clone() for name, p in tuned.named_parameters() if "lora_" not in name}
    train.train(train.Work(chosen, tuned, rows, [], (1, 1), gauges.show))
    assert before and all(torch.equal(p, before[name]) for name, p in tuned.named_parameters() if name in before)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_merged_weights_answer_as_the_adapter_does(
    tmp_path: Path, chats: Path, tiny_folder: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    running.run(settings(tmp_path / "out", chats, tiny_folder, "--method", method))
    running.run(settings(tmp_path / "out", chats, tiny_folder, "--method", method, "--merge"))  # asked for afterwards
    assert capsys.readouterr().out.count("training: starts") == 1
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "merged")
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    tuned = PeftModel.from_pretrained(base, str(tmp_path / "out" / "adapter"))
    ids = torch.arange(100, 140)[None]
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, tuned(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> tuple[Path, list[float]]:
    """Data, and the losses without a variant."""
    folder = tmp_path_factory.mktemp("plain")
    data = jsonl(folder / "chats.jsonl", [chat(f"Number {n}?", "yes " * (n % 5 + 1)) for n in range(12)])
    running.run(settings(folder / "out", data, tiny_folder))
    return data, curve(folder / "out")


@pytest.mark.parametrize("variant", ["LoraConfig.use_rslora=true", "LoraConfig.use_dora=true",
                                     "TrainingArguments.neftune_noise_alpha=5",
                                     "TrainingArguments.packing=true",
                                     "TrainingArguments.optim=adafactor", "TrainingArguments.optim=sgd"])  # fmt: skip
def test_variants_learn_in_their_own_way(tmp_path: Path, plain: Any, tiny_folder: Path, variant: str) -> None:
    data, losses = plain
    running.run(settings(tmp_path / "out", data, tiny_folder, "--set", variant))
    found = curve(tmp_path / "out")
    assert found[-1] < found[0] and found != losses


def test_checkpointing_computes_layers_again_and_learns_the_same(
    tmp_path: Path, plain: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, expected = plain
    again: list[int] = []
    monkeypatch.setattr(memory, "give_back_freed", lambda: again.append(0))
    forward = lean._network

    def counted(*given: Any) -> Any:
        again.append(1)
        return forward(*given)

    monkeypatch.setattr(lean, "_network", counted)
    running.run(settings(tmp_path / "out", data, tiny_folder, "--set", "TrainingArguments.gradient_checkpointing=true"))
    assert curve(tmp_path / "out") == pytest.approx(expected, rel=1e-5)
    assert again == [0] + [1] * 2 * 2 * len(expected)  # two layers, forward and again


def test_8_bit_adam_keeps_its_moments_in_8_bits(tmp_path: Path, chats: Path, tiny_folder: Path) -> None:
    wide = ("--set", "LoraConfig.r=128", "--set", "TrainingArguments.save_strategy=epoch")  # small tensors keep 32 bits
    running.run(settings(tmp_path / "out", chats, tiny_folder, "--set", "TrainingArguments.optim=adamw_8bit", *wide))
    assert curve(tmp_path / "out")[-1] < curve(tmp_path / "out")[0]
    state = torch.load(tmp_path / "out" / "checkpoints" / "checkpoint-6" / "optimizer.pt", weights_only=True)["state"]
    moments = [one["__bnb_optimizer_quant_state__"]["state1"] for one in state.values()]
    assert moments and {moment.dtype for moment in moments} == {torch.uint8}
