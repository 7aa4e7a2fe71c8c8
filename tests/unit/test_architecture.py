"""What config.json of each family of models tells: numbers, layers that keep keys and values, packed weights."""

import random
from typing import Any

import pytest

from kaito_components.errors import KaitoError
from kaito_components.presets import load_preset
from kaito_components.presets.adding import preset_values
from kaito_components.presets.architecture import architecture_of
from kaito_components.presets.layers import Layers, layers_of
from kaito_components.presets.material import Material, Weights, weights_of
from kaito_components.presets.quantization import Quantization, quantization_of
from kaito_components.presets.schema import check
from tests.unit.hugging_face import CONFIG

# What the models' own config.json hold, shortened to what is read; their presets have KAITO's numbers of the same.
FAMILIES: dict[str, dict[str, Any]] = {
    "phi-3-mini-4k-instruct": {
        "hidden_size": 3072, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
        "max_position_embeddings": 4096, "sliding_window": 2047, "model_type": "phi3",
    },
    "llama-3.3-70b-instruct": {
        "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
        "max_position_embeddings": 131072, "head_dim": 128,
    },
    "deepseek-v3-0324": {
        "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128,
        "max_position_embeddings": 163840, "kv_lora_rank": 512, "qk_rope_head_dim": 64,
    },
    "gpt-oss-20b": {
        "hidden_size": 2880, "num_hidden_layers": 24, "num_attention_heads": 64, "num_key_value_heads": 8,
        "head_dim": 64, "max_position_embeddings": 131072, "sliding_window": 128,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
    },
    "gemma-3-4b-it": {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {
            "model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34, "sliding_window": 1024,
        },
        "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16},
    },
    "qwen3-8b-awq": {
        "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 128, "max_position_embeddings": 40960, "use_sliding_window": False, "sliding_window": 4096,
    },
    "mistral-7b-v0.3": {  # Mistral's own params.json
        "dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "head_dim": 128, "max_seq_len": 32768,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_a_config_tells_what_kaitos_catalogue_tells(name: str) -> None:
    found, preset = architecture_of(FAMILIES[name]), load_preset(name)
    assert found.kv_bytes_per_token == preset.kv_bytes_per_token
    for field in ("hidden_size", "layers", "heads", "kv_heads", "head_size", "context_length"):
        assert getattr(found, field) == getattr(preset, field), field


LAYERS: dict[str, tuple[dict[str, Any], int, Layers]] = {
    "all attend to everything": ({}, 32, Layers(32)),
    "alternating windows (gpt-oss)": (FAMILIES["gpt-oss-20b"], 24, Layers(12, 12, 128)),
    "five windows to one (Gemma 3)": ({"model_type": "gemma3_text", "sliding_window": 1024}, 34, Layers(5, 29, 1024)),
    "a window in all (Mistral 7B v0.1)": ({"model_type": "mistral", "sliding_window": 4096}, 32, Layers(0, 32, 4096)),
    "a window as long as the context": ({"sliding_window": 131072}, 32, Layers(32)),
    "a window that is off (Qwen2)": ({"sliding_window": 4096, "use_sliding_window": False}, 28, Layers(28)),
    "windows in the last layers (Qwen2)": (
        {"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 21}, 28, Layers(21, 7, 4096),
    ),
    "every fourth attends (Qwen3-Next)": ({"full_attention_interval": 4}, 48, Layers(12)),
    "the same, where the config leaves it out": ({"model_type": "qwen3_5_text"}, 64, Layers(16)),
    "a pattern of letters (Nemotron-H)": ({"hybrid_override_pattern": "M-M*-ME*-"}, 9, Layers(2)),
    "a period (Jamba)": ({"attn_layer_period": 8, "attn_layer_offset": 4}, 32, Layers(4)),
    "chosen layers (Bamba)": ({"attn_layer_indices": [9, 18, 27]}, 32, Layers(3)),
    "types of blocks (Granite 4)": ({"layer_types": ["mamba"] * 9 + ["attention"]}, 10, Layers(1)),
    "a list of kinds (MiniMax-01)": ({"attn_type_list": [0, 0, 0, 1]}, 4, Layers(1)),
    "linear and full (Kimi Linear)": ({"linear_attn_config": {"full_attn_layers": [4, 8]}}, 8, Layers(2)),
    "chunks (Llama 4)": (
        {"attention_chunk_size": 8192, "layer_types": ["chunked_attention"] * 3 + ["full_attention"]}, 4,
        Layers(1, 3, 8192),
    ),
    "shared caches (Gemma 3n)": ({"num_kv_shared_layers": 10}, 30, Layers(20)),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_layers_that_keep_keys_and_values_are_counted(case: str) -> None:
    config, count, expected = LAYERS[case]
    assert layers_of(config, count, 131072) == expected


PACKED: list[tuple[dict[str, Any], Quantization | None]] = [
    ({}, None),
    ({"quantization_config": {}}, None),
    ({"quantization_config": {"quant_method": "awq", "bits": 4}}, Quantization("awq", 4)),
    ({"quantization_config": {"quant_method": "awq", "w_bit": 4}}, Quantization("awq", 4)),
    ({"quantization_config": {"quant_method": "gptq", "bits": 8}}, Quantization("gptq", 8)),
    ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}, Quantization("fp8", 8)),
    ({"quantization_config": {"quant_method": "mxfp4"}}, Quantization("mxfp4", 4)),
    ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, Quantization("bitsandbytes", 4)),
    ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, Quantization("bitsandbytes", 8)),
    ({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}, Quantization("NVFP4", 4)),
    (
        {"compression_config": {
            "quant_method": "compressed-tensors", "format": "pack-quantized",
            "config_groups": {"group_0": {"weights": {"num_bits": 4}}},
        }},
        Quantization("pack-quantized", 4),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("config", "expected"), PACKED)
def test_packed_weights_are_recognised(config: dict[str, Any], expected: Quantization | None) -> None:
    assert quantization_of(config) == expected


def test_the_language_part_of_a_model_that_sees_goes_before_what_stands_beside_it() -> None:
    config = {"hidden_size": 1, "text_config": CONFIG, "quantization_config": {"quant_method": "fp8"}}
    found = architecture_of(config)
    assert (found.hidden_size, found.quantization) == (576, Quantization("fp8", 8))


def test_a_model_with_one_head_of_keys_says_so_in_falcons_way() -> None:
    config = {"hidden_size": 4544, "n_layer": 32, "n_head": 71, "multi_query": True, "n_ctx": 2048}
    assert architecture_of(config).kv_heads == 1


def test_a_config_without_numbers_is_refused_with_their_keys() -> None:
    with pytest.raises(KaitoError, match=r"context_length .*hidden_size .*layers .*heads \(num_attention_heads or"):
        architecture_of({"model_type": "mystery"})


FILES = {
    "mistral's own before the rest": ({"consolidated.safetensors": 5, "model.safetensors": 7}, Weights(5, True)),
    "all safetensors before PyTorch": ({"a-1.safetensors": 5, "a-2.safetensors": 6, "p.bin": 9}, Weights(11)),
    "PyTorch": ({"pytorch_model.bin": 9, "config.json": 1}, Weights(9)),
    "not the original form beside it": ({"model.safetensors": 7, "original/model.safetensors": 99}, Weights(7)),
    "none": ({"model.gguf": 9}, None),
}


@pytest.mark.parametrize("case", FILES)
def test_the_files_that_are_loaded_are_counted(case: str) -> None:
    sizes, expected = FILES[case]
    assert weights_of(sizes) == expected


def made(config: dict[str, Any]) -> Any:
    return check("x", preset_values(Material("org/x", config, Weights(2 * 10**9))), "x")


def test_a_hybrid_models_cache_counts_only_layers_that_keep_it() -> None:
    """gpt-oss: half of the layers keep 128 tokens, so a long context costs half."""
    preset = made({**FAMILIES["gpt-oss-20b"], "architectures": ["GptOssForCausalLM"]})
    layer = 2 * 2 * 8 * 64
    assert preset.cache_bytes(100) == 24 * layer * 100 == preset.kv_bytes_per_token * 100
    assert preset.cache_bytes(10000) == layer * (12 * 10000 + 12 * 128)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_becomes_a_preset_that_the_schema_takes(name: str) -> None:
    preset = made({"architectures": ["LlamaForCausalLM"], **FAMILIES[name]})
    assert preset.cache_bytes(1) == preset.kv_bytes_per_token and "revision" in preset.unknown


@pytest.mark.parametrize(
    ("changes", "runtimes"),
    [
        ({}, ("vllm", "transformers")),
        ({"auto_map": {"AutoModelForCausalLM": "modeling.X"}}, ("vllm",)),
        ({"architectures": ["LlavaForConditionalGeneration"]}, ("vllm",)),
        ({"architectures": ["BrandNewForCausalLM"]}, ("transformers",)),
    ],
)
def test_runtimes_follow_from_the_architecture(changes: dict[str, Any], runtimes: tuple[str, ...]) -> None:
    assert made({**CONFIG, **changes}).runtimes == runtimes


def test_a_model_whose_layers_are_known_can_be_tuned_unless_it_is_packed() -> None:
    assert made(CONFIG).tuning.target_modules[0] == "q_proj"
    assert made({**CONFIG, "quantization_config": {"quant_method": "fp8"}}).tuning is None


KEYS = [
    *CONFIG, "layer_types", "sliding_window", "quantization_config", "text_config", "kv_lora_rank", "head_dim",
    "attn_layer_period", "linear_attn_config", "full_attention_interval", "attn_type_list",
]  # fmt: skip


def test_any_json_gives_a_preset_or_our_error() -> None:
    """Values of wrong types where numbers, lists or objects belong."""
    values = [None, True, 0, -1, 2.5, "x", [], [1], {}, {"a": 1}]
    picks = random.Random(4)
    for _ in range(1500):
        config = {**CONFIG, **{key: picks.choice(values) for key in picks.sample(KEYS, 2)}}
        try:
            made(config)
        except KaitoError as refused:
            assert str(refused)
