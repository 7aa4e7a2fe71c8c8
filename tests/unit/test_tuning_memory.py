"""The tuning image's estimate has the terms of the plan's, and what the plan lets through the image does not refuse."""

from itertools import product

import pytest

from kaito_components.presets import Preset, load_preset
from kaito_components.sizing import tuning as plan
from tuning_image.training import estimate

PRESETS = ("smollm2-135m-instruct", "phi-3-mini-128k-instruct", "phi-4-mini-instruct")
PARTS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
EXACT = {"adapter", "gradients", "optimizer"}
CASES = list(product(PRESETS, (4, 8, 16, 32), (True, False), ((1, 512), (1, 4096), (4, 1024))))


def shape(preset: Preset) -> estimate.Shape:
    """The preset as the image measures it, with adapters of rank 8 on all linear layers."""
    assert preset.parameters and preset.head_size and preset.intermediate_size and preset.vocabulary_size
    hidden, wide, queries = preset.hidden_size, preset.intermediate_size, preset.heads * preset.head_size
    both = queries + 2 * preset.kv_heads * preset.head_size
    sizes = [(hidden, both), (queries, hidden), (hidden, 2 * wide), (wide, hidden)]
    return estimate.Shape(
        numbers=preset.parameters,
        linear=preset.layers * sum(into * out for into, out in sizes),
        widest=max(into * out for into, out in sizes),
        trained=preset.layers * 8 * sum(into + out for into, out in sizes),
        layers=preset.layers,
        hidden=hidden,
        queries=queries,
        feed_forward=wide,
        vocabulary=preset.vocabulary_size,
        adapted_inputs=sum(into for into, _ in sizes),
        keys=preset.kv_heads * preset.head_size,
        adapted_outputs=sum(out for _, out in sizes),
    )


def both(
    name: str, bits: int, checkpointing: bool, size: tuple[int, int], piece: int | None
) -> tuple[dict[str, plan.Term], dict[str, estimate.Term]]:
    """The plan's terms and the image's, by name."""
    rows, tokens, value_bytes = *size, 4 if bits == 32 else 2
    planned = plan.Training(bits, value_bytes, 8, PARTS, tokens, rows, checkpointing)
    ours = estimate.Training(bits, value_bytes, tokens, tokens, rows, checkpointing, piece_logits=piece)
    theirs = plan.terms(load_preset(name), planned)
    return {one.name: one for one in theirs}, {one.name: one for one in estimate.terms(shape(load_preset(name)), ours)}


@pytest.mark.parametrize(("name", "bits", "checkpointing", "size"), CASES)
def test_the_terms_are_the_plans(name: str, bits: int, checkpointing: bool, size: tuple[int, int]) -> None:
    planned, ours = both(name, bits, checkpointing, size, None)
    assert list(planned) == list(ours)
    exact = EXACT | ({"weights"} if bits >= 16 else {"unpacking"})
    assert {key: ours[key].likely for key in exact} == {key: planned[key].likely for key in exact}
    assert planned["weights"].low <= ours["weights"].likely <= planned["weights"].high
    assert ours["logits"].likely == planned["logits"].likely


@pytest.mark.parametrize(("name", "bits", "checkpointing", "size"), CASES)
def test_what_fits_by_the_plan_is_not_refused(name: str, bits: int, checkpointing: bool, size: tuple[int, int]) -> None:
    planned, ours = both(name, bits, checkpointing, size, 1 << 25)
    assert sum(one.least for one in ours.values()) <= sum(one.likely for one in planned.values())
    assert sum(one.likely for one in ours.values()) <= sum(one.high for one in planned.values())
