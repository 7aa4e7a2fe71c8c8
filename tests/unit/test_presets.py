"""Every preset file is whole and consistent; names are found as KAITO finds them."""

import re
from pathlib import Path

import pytest

from kaito_components.errors import KaitoError
from kaito_components.presets import load_preset, preset_names, tunable_presets
from kaito_components.presets.licenses import license_of
from kaito_components.presets.lookup import read_file
from kaito_components.presets.reference import with_tables
from kaito_components.presets.schema import parse
from kaito_components.units import GIB, parse_bytes

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "presets"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
# KAITO 0.12 pkg/utils/plugin/plugin.go: the short names that are not the last part of an id.
ALIASES = {
    "mistral-7b": "mistralai/Mistral-7B-v0.3",
    "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.3",
    "gemma-3-4b-instruct": "google/gemma-3-4b-it",
    "gemma-3-27b-instruct": "google/gemma-3-27b-it",
    "ministral-3-3b-instruct": "mistralai/Ministral-3-3B-Instruct-2512",
    "ministral-3-8b-instruct": "mistralai/Ministral-3-8B-Instruct-2512",
    "ministral-3-14b-instruct": "mistralai/Ministral-3-14B-Instruct-2512",
    "mistral-large-3-675b-instruct": "mistralai/Mistral-Large-3-675B-Instruct-2512",
}


def catalogue() -> dict[str, list[str]]:
    """KAITO's: size, KV bytes and estimates of each model, by its id in lower case."""
    lines = (ROOT / "tests" / "data" / "kaito_estimates.csv").read_text().splitlines()
    return {row[0].lower(): row for row in (line.split(",") for line in lines) if "/" in row[0]}


def test_the_presets_are_kaitos_catalogue_and_our_own_small_model() -> None:
    models = {load_preset(name).model.lower() for name in NAMES}
    assert preset_names() == NAMES and len(NAMES) == 61
    assert models == {*catalogue(), "huggingfacetb/smollm2-135m-instruct"}


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_whole(name: str) -> None:
    preset = read_file(FOLDER / f"{name}.yaml")  # the schema refuses what is missing, unknown or without a source
    assert name == name.lower() == preset.model.rsplit("/", 1)[-1].lower()
    assert 0 < preset.weights_bytes < 2**41 and 1024 <= preset.context_length <= 2**21
    assert preset.disk_bytes == pytest.approx(80 * GIB + preset.weights_bytes, abs=GIB)
    assert license_of(preset.license).redistributable == preset.redistributable


@pytest.mark.parametrize("name", NAMES)
def test_a_presets_numbers_agree_with_each_other(name: str) -> None:
    """Cache of one layer and token: keys and values, or the compressed form of MLA. KAITO 0.12 generator.go."""
    preset = load_preset(name)
    if preset.kv_lora_rank:
        values = preset.kv_lora_rank + (preset.rope_head_size or 0)
    else:
        values = 2 * preset.kv_heads * (preset.head_size or 0)
    assert preset.kv_bytes_per_token == 2 * preset.layers * values
    if preset.quantization is None:
        assert preset.weights_bytes == pytest.approx(2 * (preset.parameters or 0), rel=0.01)


@pytest.mark.parametrize("name", tunable_presets())
def test_a_tunable_presets_layers_add_up_to_its_parameters(name: str) -> None:
    """Gated feed-forward layers, and an input embedding that is the output layer too, or is not."""
    one = load_preset(name)
    assert one.tuning and one.parameters and one.head_size and one.intermediate_size and one.vocabulary_size
    attention = 2 * one.hidden_size * one.head_size * (one.heads + one.kv_heads)
    linear = one.layers * (attention + 3 * one.hidden_size * one.intermediate_size)
    embedding = one.vocabulary_size * one.hidden_size
    assert one.parameters in (
        pytest.approx(linear + embedding, rel=0.002),
        pytest.approx(linear + 2 * embedding, rel=0.002),
    )


def test_tunable_are_kaitos_ten_and_our_own() -> None:
    assert tunable_presets() == [name for name in NAMES if load_preset(name).tuning]
    assert len(tunable_presets()) == 11 and "mistral-7b-v0.3" in tunable_presets()


def test_kaitos_numbers_stand_in_the_presets() -> None:
    for row in catalogue().values():
        preset = load_preset(row[0])
        assert (preset.weights_bytes, preset.kv_bytes_per_token) == (parse_bytes(row[1]), int(row[2]))


def test_a_preset_is_found_by_its_hugging_face_id_in_any_case() -> None:
    assert load_preset("Microsoft/phi-4-MINI-instruct") is load_preset("phi-4-mini-instruct")
    assert load_preset("PHI-4-mini-instruct").name == "phi-4-mini-instruct"


@pytest.mark.parametrize("alias", ALIASES)
def test_a_short_name_of_kaito_is_found(alias: str) -> None:
    assert load_preset(alias).model == ALIASES[alias]


def test_no_two_presets_share_a_name() -> None:
    presets = [load_preset(name) for name in NAMES]
    names = [name.lower() for one in presets for name in (one.name, one.model, *one.aliases)]
    assert len(names) == len(set(names)) == 61 + 61 + len(ALIASES)


def test_no_name_is_no_preset() -> None:
    with pytest.raises(KaitoError, match="there is no preset ''"):
        load_preset("")


@pytest.mark.parametrize("name", ["phi-4-mini", "microsoft/phi-4-mini", "../presets/phi-4-mini-instruct"])
def test_an_unknown_preset_is_an_error_with_the_nearest_name(name: str) -> None:
    with pytest.raises(KaitoError, match="did you mean phi-4-mini-instruct"):
        load_preset(name)


def test_an_alias_is_found_without_reading_every_file_as_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr("kaito_components.presets.schema.parse", lambda path: read.append(path.stem) or parse(path))
    read_file.cache_clear(), load_preset.cache_clear()
    load_preset("mistral-7b")
    read_file.cache_clear(), load_preset.cache_clear()
    assert read == ["mistral-7b-v0.3"]


GOOD = (FOLDER / "phi-4-mini-instruct.yaml").read_text()
WRONG = {
    "layers: Field required": GOOD.replace("layers: 32\n", ""),
    "layrs: Extra inputs are not permitted": GOOD.replace("layers:", "layrs:"),
    "heads: Input should be": GOOD.replace("heads: 24", "heads: many"),
    "weights: String should match": GOOD.replace("7.15Gi", "7 GB"),
    "revision is neither given nor in unknown": re.sub("^revision: .*\n", "", GOOD, flags=re.MULTILINE),
    "license is given and in unknown": GOOD + "unknown: [license]\n",
    "layers has no source": GOOD.replace("layers, ", ""),
    "layers has two sources": GOOD + "  a page of its own: [layers]\n",
    "reasoning_parser has a source, but no value": GOOD + "  a page of its own: [reasoning_parser]\n",
    "hearsay is not a known source": GOOD.replace("half-of-weights", "hearsay").replace(
        "computed from config.json", "hearsay"
    ),
    "is no multiple of kv_heads": GOOD.replace("kv_heads: 8", "kv_heads: 7"),
    "vocabulary_size is needed to tune": GOOD.replace("vocabulary_size: 200064\n", ""),
    "window_layers and window_tokens go together": GOOD.replace("sources:", "window_layers: 2\nsources:"),
    "cannot be read as YAML": "model: [",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_file_that_is_no_preset_is_refused_with_file_and_field(words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(WRONG[words])
    with pytest.raises(KaitoError, match=rf"mine\.yaml: .*{re.escape(words)}"):
        read_file(tmp_path / "mine.yaml")


def test_the_documentation_is_what_the_schema_says() -> None:
    text = (ROOT / "docs" / "presets.md").read_text()
    assert with_tables(text) == text, "run: python -m kaito_components.presets.reference docs/presets.md"
    assert "`tuning.target_modules` (needed)" in text and "`mistral-7b`" in text


@pytest.mark.parametrize(
    ("name", "share"), [("gemma-3-27b-it", 0.17), ("qwen3.6-27b", 0.25), ("nvidia-nemotron-nano-9b-v2", 0.072)]
)
def test_a_long_context_of_a_hybrid_model_takes_a_part_of_what_kaito_counts(name: str, share: float) -> None:
    preset = load_preset(name)
    full = preset.kv_bytes_per_token * preset.context_length
    assert preset.cache_bytes(preset.context_length) / full == pytest.approx(share, abs=0.01)
