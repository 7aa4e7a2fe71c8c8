"""The sum of tuning memory, held to peaks that PyTorch showed and to what must be so."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from kaito_components.presets import Preset, load_preset
from kaito_components.sizing.terms import Term, total
from kaito_components.sizing.tuning import Training, terms
from kaito_components.units import GIB

LINES = (Path(__file__).parents[1] / "data" / "tuning_peaks.csv").read_text().splitlines()
ROWS = list(csv.DictReader(line for line in LINES if not line.startswith("#")))
PHI_3, PHI_4 = load_preset("phi-3-mini-128k-instruct"), load_preset("phi-4-mini-instruct")
# Source: config.json of Qwen/Qwen2.5-7B-Instruct.
QWEN = replace(
    PHI_3, parameters=7615616512, hidden_size=3584, layers=28, heads=28, kv_heads=4, head_size=128,
    intermediate_size=18944, vocabulary_size=152064,
)  # fmt: skip
SPLIT = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MODELS = {
    "phi-3-mini": (PHI_3, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")),
    "phi-4-mini": (PHI_4, ("qkv_proj", "o_proj")),
    "smollm2": (load_preset("smollm2-135m-instruct"), SPLIT),
    "qwen2.5-7b": (QWEN, SPLIT),
}


def parts(preset: Preset, training: Training) -> dict[str, Term]:
    return {one.name: one for one in terms(preset, training)}


def measured(row: dict[str, str]) -> tuple[Preset, Training]:
    preset, targets = MODELS[row["model"]]
    rows, tokens, checkpointing = int(row["rows"]), int(row["row_tokens"]), row["checkpointing"] == "true"
    return preset, Training(16, targets=targets, row_tokens=tokens, rows=rows, checkpointing=checkpointing)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(list(row.values())[:4]))
def test_the_sum_is_what_pytorch_took(row: dict[str, str]) -> None:
    found = parts(*measured(row))
    made = [found[name] for name in ("optimizer", "activations", "logits")]
    peak, sum_ = int(row["peak_bytes"]), total(made)
    assert sum_.low <= peak <= sum_.high
    assert sum_.likely == pytest.approx(peak, rel=0.15)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(list(row.values())[:4]))
def test_weights_adapter_and_optimizer_are_exact(row: dict[str, str]) -> None:
    found = parts(*measured(row))
    assert found["weights"].likely == 2 * int(row["parameters"])
    assert found["adapter"].likely == 4 * int(row["adapter"])
    assert found["optimizer"].likely == pytest.approx(int(row["optimizer_bytes"]), rel=1e-3)


def test_four_bits_are_those_of_the_paper_for_linear_layers_alone() -> None:
    """QLoRA, arXiv:2305.14314: 4 bits and 0.127 for constants; embeddings and the output layer stay as they are."""
    linear, rest = 32 * (4 * 3072 * 3072 + 3 * 3072 * 8192), 2 * 32064 * 3072
    weights = parts(PHI_3, Training(4))["weights"]
    assert weights.likely == pytest.approx(linear * 4.127 / 8 + 4 * rest, rel=1e-3)
    assert weights.low == pytest.approx(linear * 4.127 / 8 + 2 * rest, rel=1e-3)


@pytest.mark.parametrize("bits", [4, 8, 16, 32])
def test_every_term_has_a_source_and_bounds_about_what_is_likely(bits: int) -> None:
    for preset in (PHI_3, replace(PHI_3, intermediate_size=None, vocabulary_size=None)):
        for term in terms(preset, Training(bits)):
            assert 0 <= term.low <= term.likely <= term.high and term.source


def test_fewer_bits_rows_tokens_and_checkpoints_take_less() -> None:
    def likely(training: Training) -> int:
        return total(terms(PHI_3, training)).likely

    assert likely(Training(4)) < likely(Training(8)) < likely(Training(16)) < likely(Training(32))
    assert likely(Training(16)) < likely(Training(16, rows=2)) < likely(Training(16, rows=2, row_tokens=2048))
    assert likely(Training(16)) < likely(Training(16, checkpointing=False))
    assert likely(Training(16)) < likely(Training(16, rank=64))


def test_without_the_width_of_layers_the_bounds_are_wider() -> None:
    vague = total(terms(replace(PHI_4, intermediate_size=None, vocabulary_size=None), Training(16)))
    exact = total(terms(PHI_4, Training(16)))
    assert vague.low <= exact.likely <= vague.high
    assert vague.high - vague.low > exact.high - exact.low


def test_the_quick_start_fits_the_v100_it_was_written_for() -> None:
    assert total(terms(PHI_3, Training(4))).high < 0.93 * 16 * GIB


def test_the_sum_is_not_below_what_a_gpu_showed() -> None:
    """An H100, LoRA on the shape of Llama 3.2 1B in bfloat16: PyTorch reserved 3.31 GB (`python -m benchmarks gpu`)."""
    llama = replace(
        PHI_3, parameters=1073809408, hidden_size=2048, layers=16, heads=32, kv_heads=8, head_size=64,
        intermediate_size=8192, vocabulary_size=49152,
    )  # fmt: skip
    found = parts(llama, Training(16, rank=16, targets=SPLIT, row_tokens=179, rows=8))  # the chats' mean length
    taken = [term for name, term in found.items() if name != "runtime"]
    assert total(taken).likely >= 3.31e9 >= total(taken).low
