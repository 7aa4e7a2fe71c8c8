"""Every preset file is whole and consistent; names are found as KAITO finds them."""

import re
from pathlib import Path

import pytest

from kaito_components.errors import KaitoError
from kaito_components.presets import load_preset, preset_names, tunable_presets
from kaito_components.units import parse_bytes

FOLDER = Path(__file__).parents[2] / "presets"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
NUMBERS = {
    "revision", "license", "redistributable", "parameters", "weights", "dtype", "context_length", "architectures",
    "hidden_size", "layers", "heads", "kv_heads", "head_size", "kv_bytes_per_token", "runtimes",
}  # fmt: skip
SHAPE = {"intermediate_size", "vocabulary_size"}  # what tuning memory needs


def test_there_are_presets_and_each_file_is_one() -> None:
    assert {"phi-3-mini-128k-instruct", "phi-4-mini-instruct", "smollm2-135m-instruct"} <= set(NAMES)
    assert preset_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_whole(name: str) -> None:
    preset = load_preset(name)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", preset.model) and name == name.lower()
    assert preset.revision is None or re.fullmatch(r"[0-9a-f]{40}", preset.revision)
    assert set(preset.runtimes) <= {"vllm", "transformers"} and preset.runtimes
    assert preset.heads % preset.kv_heads == 0
    assert 0 < preset.weights_bytes < 2**41 and 1024 <= preset.context_length <= 2**21


@pytest.mark.parametrize("name", NAMES)
def test_a_presets_numbers_agree_with_each_other(name: str) -> None:
    preset = load_preset(name)
    if preset.kv_lora_rank is None:  # keys and values, two bytes each: KAITO 0.12 generator.go
        assert preset.kv_bytes_per_token == 2 * 2 * preset.layers * preset.kv_heads * preset.head_size
    if preset.quantization is None:
        assert preset.weights_bytes == pytest.approx(2 * preset.parameters, rel=0.01)


@pytest.mark.parametrize("name", [name for name in NAMES if load_preset(name).tuning])
def test_a_tunable_presets_layers_add_up_to_its_parameters(name: str) -> None:
    """Gated feed-forward layers, and an input embedding that is the output layer too, or is not."""
    one = load_preset(name)
    assert one.intermediate_size and one.vocabulary_size
    attention = 2 * one.hidden_size * one.head_size * (one.heads + one.kv_heads)
    linear = one.layers * (attention + 3 * one.hidden_size * one.intermediate_size)
    embeddings = (one.parameters - linear) / (one.vocabulary_size * one.hidden_size)
    assert embeddings == pytest.approx(1, abs=0.01) or embeddings == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_a_preset_has_one_source(name: str) -> None:
    preset = load_preset(name)
    cited = [field for fields in preset.sources.values() for field in fields]
    tuning = {"tuning.disk", "tuning.target_modules"} if preset.tuning else set()
    weights = {"tuning.weights_image"} if preset.tuning and preset.tuning.weights_image else set()
    assert len(cited) == len(set(cited))
    assert set(cited) - {"chat_template"} - SHAPE == NUMBERS | tuning | weights


def test_a_preset_is_found_by_its_hugging_face_id_in_any_case() -> None:
    assert load_preset("Microsoft/phi-4-MINI-instruct") is load_preset("phi-4-mini-instruct")
    assert load_preset("PHI-4-mini-instruct").name == "phi-4-mini-instruct"


@pytest.mark.parametrize("name", ["phi-4-mini", "microsoft/phi-4-mini", "../presets/phi-4-mini-instruct"])
def test_an_unknown_preset_is_an_error_with_the_nearest_name(name: str) -> None:
    with pytest.raises(KaitoError, match="did you mean phi-4-mini-instruct"):
        load_preset(name)


def test_kaitos_numbers_stand_in_the_presets() -> None:
    """kaito_estimates.csv holds KAITO's catalogue: sizes and KV bytes of the same models."""
    lines = (Path(__file__).parents[1] / "data" / "kaito_estimates.csv").read_text().splitlines()
    catalogue = {row[0].lower(): row for row in (line.split(",") for line in lines if "/" in line.split(",")[0])}
    shared = [load_preset(name) for name in NAMES if load_preset(name).model.lower() in catalogue]
    assert len(shared) >= 2
    for preset in shared:
        _, size, per_token, *_ = catalogue[preset.model.lower()]
        assert (preset.weights_bytes, preset.kv_bytes_per_token) == (parse_bytes(size), int(per_token))


def test_presets_that_can_be_tuned_are_known() -> None:
    assert {"phi-3-mini-128k-instruct", "smollm2-135m-instruct"} <= set(tunable_presets())
