"""The memory a training takes is told before its model is loaded, is about right, and refuses only what cannot fit."""

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import chat, jsonl, read
from transformers import AutoConfig, LlamaConfig, Phi3Config, Qwen2Config

from tuning_image import run as running
from tuning_image.data.tokens import Tokens
from tuning_image.errors import TryAgainError, UserError
from tuning_image.training import batches, estimate, fitting, lean, losses, model, room, shape, short_rows

GB = 10**9
LINES = (Path(__file__).parents[1] / "data" / "tuning_peaks.csv").read_text().splitlines()
PEAKS = {row["model"]: row for row in csv.DictReader(line for line in LINES if not line.startswith("#"))}
# As in scripts/measure_tuning_peaks.py: vocabulary, hidden, feed-forward, layers, heads, kv heads, tied, adapted layers
CONFIGS: dict[str, tuple[Any, tuple[int, ...], bool, str]] = {
    "phi-3-mini": (Phi3Config, (32064, 3072, 8192, 32, 32, 32), False, "all-linear"),
    "phi-4-mini": (Phi3Config, (200064, 3072, 8192, 32, 24, 8), True, "[qkv_proj, o_proj]"),
    "smollm2": (LlamaConfig, (49152, 576, 1536, 30, 9, 3), True, "all-linear"),
    "qwen2.5-7b": (Qwen2Config, (152064, 3584, 18944, 28, 28, 4), False, "all-linear"),
}
NAMES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
         "num_key_value_heads")  # fmt: skip
SMALL = estimate.Shape(10**9, 8 * 10**8, 10**7, 10**6, 10, 1000, 1000, 3000, 50_000, 10_000)
LONG = estimate.Training(32, 4, 2000, 1800, rows=4, checkpointing=False, piece_logits=1 << 25, device="cpu")


def big(kind: Any, numbers: tuple[int, ...], tied: bool, folder: Path) -> Path:
    """A config without weights."""
    sizes = dict(zip(NAMES, numbers, strict=True))
    kind(**sizes, tie_word_embeddings=tied, pad_token_id=0).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", CONFIGS)
def test_numbers_are_counted_from_the_config_alone(name: str, tmp_path: Path) -> None:
    kind, numbers, tied, targets = CONFIGS[name]
    folder = big(kind, numbers, tied, tmp_path / "model")
    chosen = read(tmp_path, "d", "--set", f"LoraConfig.target_modules={targets}", model=folder)
    found, in_pieces = shape.measure(chosen, model.Precision(torch.bfloat16, "test"))
    assert (found.numbers, found.trained) == (int(PEAKS[name]["parameters"]), int(PEAKS[name]["adapter"]))
    assert in_pieces and (found.hidden, found.layers, found.vocabulary) == (numbers[1], numbers[3], numbers[0])


@pytest.fixture(params=[True, False], ids=["lean", "own layers"])
def is_lean(request: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Layers as on a CPU, or as on a GPU."""
    if not request.param:
        monkeypatch.setattr(lean, "KNOWN", ())
        monkeypatch.setattr(lean, "make", lambda _: None)
        monkeypatch.setattr(short_rows, "LONGEST", 0)
    return bool(request.param)


@pytest.mark.parametrize("dora", ["false", "true"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_formula_counts_what_the_layers_keep(
    tmp_path: Path, chats: Path, tiny_folder: Path, dtype: str, dora: str, is_lean: bool
) -> None:
    (tmp_path / "out").mkdir()
    flags = ("--set", f"ModelConfig.torch_dtype={dtype}", "--set", f"LoraConfig.use_dora={dora}")
    chosen = read(tmp_path / "out", chats, *flags, model=tiny_folder)
    precision, rows = model.choose_precision(chosen.config), running.prepare(chosen).train
    adapted, batch, kept = model.load(chosen, precision), batches.collate([tuple(rows)]), {}
    known = {p.untyped_storage().data_ptr() for p in adapted.parameters()}
    tokens = batch["input_ids"].numel()
    lengths = {tokens, *batch["segments"]}

    def keep(found: torch.Tensor) -> torch.Tensor:
        kept[found.untyped_storage().data_ptr()] = found
        return found

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda found: found):
        losses.token_losses(adapted.train(), batch)
    mine = [one for at, one in kept.items() if at not in known and lengths & set(one.shape)]
    taken = sum(one.untyped_storage().nbytes() for one in mine)
    training = fitting.training_of(chosen, precision, rows, 1, True)
    found = shape.measure(chosen, precision)[0]
    counted = 2 * tokens * estimate.kept_per_token(found, training)
    assert found.lean == is_lean and 0.85 * counted < taken < 1.15 * counted


def test_a_model_too_large_for_this_machine_is_refused_before_it_is_loaded(
    tune: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, tiny_folder: Path, chats: Path
) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    for file in tiny_folder.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "config.json").unlink()
    config = json.loads((tiny_folder / "config.json").read_text())
    wide = {"hidden_size": 65536, "intermediate_size": 262144, "num_hidden_layers": 100, "num_attention_heads": 512}
    (folder / "config.json").write_text(json.dumps({**config, **wide, "head_dim": 128}))
    done = tune("--model", folder, "--data", chats, "--output", tmp_path / "out")
    assert done.returncode == 42, done.stderr
    assert "most of it weights" in done.stderr and "--method qlora (" in done.stderr
    assert "  weights " in done.stdout and "training: " not in done.stdout


def test_what_fits_with_one_row_is_a_warning() -> None:
    there = room.Room("this machine", 6 * GB, 16 * GB)
    assert fitting.judged(SMALL, LONG, there, 1) is None
    assert "memory: it may run out" in "\n".join(fitting.table(estimate.terms(SMALL, LONG), there, 1))


def test_memory_that_others_hold_asks_for_another_try() -> None:
    refused = fitting.judged(SMALL, LONG, room.Room("Tesla T4", 3 * GB, 16 * GB), 1)
    assert isinstance(refused, TryAgainError) and "something else has the rest" in str(refused)


def test_the_ways_out_name_what_each_would_take() -> None:
    refused = fitting.judged(SMALL, LONG, room.Room("Tesla T4", 3 * GB, 3 * GB), 1)
    assert isinstance(refused, UserError) and "most of it weights, 4.00 GB" in str(refused)
    for way in ("gradient_checkpointing: true (", "--method qlora (", "max_length: 512 ("):
        assert way in str(refused)


def test_processes_on_cpus_share_the_memory() -> None:
    there = room.Room("this machine", 6 * GB, 6 * GB)
    assert fitting.judged(SMALL, LONG, there, 1) is None
    assert isinstance(fitting.judged(SMALL, LONG, there, 2), UserError)


def test_the_limit_of_a_container_counts_and_not_its_cached_files(tmp_path: Path) -> None:
    files = {"memory.max": f"{4 << 20}\n", "memory.current": f"{3 << 20}\n"}
    files["memory.stat"] = f"anon 1\nactive_file {1 << 19}\ninactive_file {1 << 19}\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert room.in_ram(tmp_path) == room.Room("this container", 2 << 20, 4 << 20)
    (tmp_path / "memory.max").write_text("max\n")
    assert room.in_ram(tmp_path).place == "this machine"


def test_packed_rows_and_pairs_count_in_full(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "out").mkdir()
    data = jsonl(tmp_path / "d.jsonl", [chat(str(n), "yes " * 30) for n in range(40)])
    chosen = read(tmp_path / "out", data, "--set", "TrainingArguments.packing=true", model=tiny_folder)
    precision, rows = model.choose_precision(chosen.config), running.prepare(chosen).train
    assert fitting.training_of(chosen, precision, rows, 1, True).row_tokens == 1024


def test_files_that_are_quantized_already_are_not_guessed_at(tmp_path: Path, tiny_folder: Path) -> None:
    config = AutoConfig.from_pretrained(tiny_folder)
    config.quantization_config = {"quant_method": "gptq", "bits": 4}
    config.save_pretrained(tmp_path / "model")
    with pytest.raises(shape.UnknownShapeError, match="quantized already"):
        shape.measure(read(tmp_path, "d", model=tmp_path / "model"), model.Precision(torch.bfloat16, "test"))


def test_an_evaluation_that_takes_more_than_a_step_is_counted() -> None:
    step = replace(LONG, rows=1, checkpointing=True)
    large = replace(step, eval_rows=64, eval_tokens=2000, eval_learned=1800)
    assert estimate.terms(SMALL, replace(large, eval_tokens=2, eval_learned=2)) == estimate.terms(SMALL, step)
    (term,) = (one for one in estimate.terms(SMALL, large) if one.name == "evaluation")
    assert "128000 tokens at a time" in term.how and term.least == 0
    freed = sum(one.likely for one in estimate.terms(SMALL, step) if one.name in estimate.FREED)
    logits = estimate.LOGIT_BYTES * (1 << 25)
    assert term.likely + freed == 128_000 * estimate.kept_per_token(SMALL, large) + logits


def test_the_longest_validation_rows_are_what_is_evaluated(tmp_path: Path) -> None:
    rows = [Tokens([1] * n, [-100, *[1] * (n - 1)]) for n in (5, 9, 7)]
    found = fitting.evaluating(LONG, read(tmp_path, "d"), rows)
    assert (found.eval_rows, found.eval_tokens, found.eval_learned) == (3, 9, 8)
    assert fitting.evaluating(LONG, read(tmp_path, "d"), []) == LONG


def test_a_merge_that_can_never_fit_is_refused_before_training(tmp_path: Path, tiny_folder: Path) -> None:
    count = shape.measure(read(tmp_path, "d", model=tiny_folder), model.Precision(torch.bfloat16, "test"))[0].numbers
    weights = (tiny_folder / "model.safetensors").stat().st_size
    needed = shape.file_bytes(read(tmp_path, "d", model=tiny_folder), count)
    assert weights - 10_000 < needed <= weights
    fitting.check_merge(needed, room.Room("this machine", 0, needed))
    with pytest.raises(UserError, match=r"--merge takes about .* leave it out"):
        fitting.check_merge(needed, room.Room("this machine", 0, needed - 1))
