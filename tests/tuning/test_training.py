"""Loss, adapter and resumed curve are right: compared with plain PyTorch, peft and an undisturbed run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, read

from tuning_image import run as running
from tuning_image.data.tokens import Tokens
from tuning_image.settings import Settings
from tuning_image.training import batches, losses, model, progress

STEPS = ("--set", "TrainingArguments.max_steps=6", "--set", "TrainingArguments.learning_rate=1e-2")


def settings(output: Path, data: Path, folder: Path, *flags: str) -> Settings:
    return read(output, data, *STEPS, *flags, model=folder)


def loaded(chosen: Settings) -> tuple[Any, list[Tokens]]:
    """The model with its adapter, and the rows."""
    prepared = running.prepare(chosen)
    return model.load(chosen, model.choose_precision(chosen.config)), list(prepared.train)


@pytest.fixture
def ready(tmp_path: Path, chats: Path, tiny_folder: Path) -> tuple[Any, list[Tokens]]:
    output = tmp_path / "out"
    output.mkdir()
    return loaded(settings(output, chats, tiny_folder))


def curve(output: Path) -> list[float]:
    """The loss of each step."""
    return [entry["loss"] for entry in progress.entries(output / progress.FILE) if "loss" in entry]


def reference_loss(of: Any, row: Tokens) -> float:
    """Cross entropy by transformers itself, with its own attention."""
    labels = torch.tensor([row.labels])
    with torch.no_grad():
        logits = of(input_ids=torch.tensor([row.ids]), segments=(len(row.ids),)).logits
    return float(torch.nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:], reduction="sum"))


def test_an_untrained_adapter_gives_the_logits_of_the_base(ready: tuple[Any, list[Tokens]]) -> None:
    tuned, rows = ready
    asked = {"input_ids": torch.tensor([rows[0].ids]), "segments": (len(rows[0].ids),)}
    with torch.no_grad():
        found = tuned(**asked).logits
        with tuned.disable_adapter():
            base = tuned(**asked).logits
    assert torch.equal(found, base) and all(p.any() for name, p in tuned.named_parameters() if "lora_A" in name)


def test_rows_end_to_end_have_the_loss_of_rows_apart(ready: tuple[Any, list[Tokens]]) -> None:
    tuned, rows = ready
    together = losses.token_losses(tuned, batches.collate([tuple(rows)])).detach().sum().item()
    apart = sum(reference_loss(tuned, row) for row in rows)
    assert together == pytest.approx(apart, rel=1e-5)


def test_the_attention_is_that_of_transformers(ready: tuple[Any, list[Tokens]], tiny_folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    tuned, rows = ready
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32, attn_implementation="eager")
    ours = losses.token_losses(tuned, batches.collate([(rows[0],)])).detach().sum().item()
    labels = torch.tensor([rows[0].labels])
    theirs = (
        plain(input_ids=torch.tensor([rows[0].ids]), labels=labels).loss.detach().item()
        * (labels[0, 1:] >= 0).sum().item()
    )
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_bins_hold_every_row_once_and_never_too_much() -> None:
    rows = [Tokens(list(range(n)), list(range(n))) for n in (3, 7, 5, 2, 9, 1)]
    packed = batches.bins(rows, 10)
    assert sorted(len(row.ids) for one in packed for row in one) == [1, 2, 3, 5, 7, 9]
    assert max(sum(len(row.ids) for row in one) for one in packed) <= 10 and len(packed) == 3


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """The output of a run that nothing disturbed; its data lies beside it."""
    from conftest import chat, jsonl

    folder = tmp_path_factory.mktemp("whole")
    data = jsonl(folder / "chats.jsonl", [chat(f"Number {n}?", "yes " * (n % 5 + 1)) for n in range(12)])
    running.run(settings(folder / "out", data, tiny_folder, "--set", "LoraConfig.lora_dropout=0.1"))
    return folder / "out"


def test_the_loss_falls_and_the_adapter_loads_in_peft(whole_run: Path, tiny_folder: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    adapted = PeftModel.from_pretrained(base, str(whole_run / "adapter"))
    assert curve(whole_run)[-1] < curve(whole_run)[0] - 0.5
    assert all(p.abs().sum() > 0 for name, p in adapted.named_parameters() if "lora_B" in name)


def test_the_result_has_tokenizer_template_card_and_picture(whole_run: Path) -> None:
    names = {path.name for path in (whole_run / "adapter").iterdir()}
    assert {"tokenizer.json", "chat_template.jinja", "README.md", "adapter_config.json"} <= names
    assert (whole_run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_has_data_metrics_settings_and_versions(whole_run: Path, tiny_folder: Path) -> None:
    card = (whole_run / "adapter" / "README.md").read_text()
    assert f"base_model: {tiny_folder}\n" in card and f"| torch | {version('torch')} |" in card
    assert f"| sources | {whole_run.parent / 'chats.jsonl'} |" in card and "| rows_train | 12 |" in card
    assert "| steps | 6 |" in card and "| eval_loss |" not in card  # nothing was evaluated
    assert "- `LoraConfig.lora_dropout = 0.1 (--set)`" in card


def interrupted_after(step: int, output: Path) -> None:
    """Makes a finished run one that was killed after this step, of which there is a checkpoint."""
    shutil.rmtree(output / "adapter")
    for path in (output / "checkpoints").iterdir():
        if int(path.name.removeprefix("checkpoint-")) > step:
            shutil.rmtree(path)


def test_how_often_it_talks_saves_and_evaluates_may_change_from_one_start_to_the_next(
    tmp_path: Path, chats: Path, tiny_folder: Path
) -> None:
    always = {"save_total_limit": 9, "save_strategy": "steps", "eval_strategy": "steps"}

    def learn(**chosen: object) -> None:
        named = (always | chosen).items()
        flags = [part for name, value in named for part in ("--set", f"TrainingArguments.{name}={value}")]
        running.run(settings(tmp_path, chats, tiny_folder, *flags, "--set", "DatasetConfig.train_test_split=0.7"))

    def steps(name: str) -> list[int]:
        return [entry["step"] for entry in progress.entries(tmp_path / progress.FILE) if name in entry]

    learn(logging_steps=1, save_steps=1, eval_steps=1)
    interrupted_after(2, tmp_path)
    learn(logging_steps=2, save_steps=3, eval_steps=5)
    assert steps("loss") == [1, 2, 4, 6] and steps("eval_loss") == [1, 2, 5, 6]
    saved = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert saved == {f"checkpoint-{step}" for step in (1, 2, 3, 6)}


def test_equal_seed_equal_loss(whole_run: Path, tmp_path: Path, tiny_folder: Path) -> None:
    again = settings(
        tmp_path / "out", whole_run.parent / "chats.jsonl", tiny_folder, "--set", "LoraConfig.lora_dropout=0.1"
    )
    running.run(again)
    assert curve(tmp_path / "out") == curve(whole_run)


def start(output: Path, data: Path, folder: Path) -> subprocess.Popen[bytes]:
    """The run as a process, with a checkpoint after each step."""
    flags = ["--set", "LoraConfig.lora_dropout=0.1", "--checkpoint-minutes", "0.000001"]
    command = ["--model", folder, "--data", data, "--output", output, *STEPS, *flags]
    return subprocess.Popen([sys.executable, "-m", "tuning_image", *map(str, command)], cwd=ROOT)


def test_after_sigterm_the_curve_goes_on_as_if_nothing_happened(
    whole_run: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    data, output = whole_run.parent / "chats.jsonl", tmp_path / "out"
    process = start(output, data, tiny_folder)
    while not list((output / "checkpoints").glob("checkpoint-[2-9]")) and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGTERM)  # SIGKILL: test_interruptions.py
    assert process.wait(120) == 143
    assert len(curve(output)) < 6
    assert start(output, data, tiny_folder).wait(300) == 0
    assert curve(output) == pytest.approx(curve(whole_run), rel=1e-6)
    assert json.loads((output / "adapter" / "metrics.json").read_text())["steps"] == 6
