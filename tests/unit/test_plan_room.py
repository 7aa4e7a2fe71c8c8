"""Room for context, and for tuning: what is counted, and what is said when there is too little."""

from dataclasses import replace

import pytest

from kaito_components.plan.room import cheapest, room_of
from kaito_components.presets import load_preset
from kaito_components.prices import price_of
from kaito_components.sizing import estimator
from kaito_components.sizing.estimator import Parallelism
from kaito_components.sizing.terms import total
from kaito_components.skus import gpu_sizes
from kaito_components.units import GIB
from tests.unit.workspaces import A10, A100, CPU, T4, V100, codes, config, inference, planned, tuning

PHI_3 = "phi-3-mini-128k-instruct"
FRACTION = "Standard_NV12ads_A10_v5"


@pytest.mark.parametrize("size", [A100, A10, T4, CPU, "Standard_NC96ads_A100_v4", FRACTION])
def test_weights_reserves_and_free_memory_are_all_there_is(size: str) -> None:
    memory = planned(inference(size, "smollm2-135m-instruct")).memory
    assert memory and memory.gpu == memory.free + total(memory.terms).likely and memory.free > 0


def test_room_is_what_is_free_over_what_a_token_takes() -> None:
    made = planned(inference(A100))  # 131072 bytes a token
    assert made.memory and made.room
    assert made.room.tokens == made.memory.free // 131072
    assert (made.room.context_tokens, made.room.requests) == (131072, made.room.tokens // 131072)


def test_copies_of_a_small_model_serve_side_by_side() -> None:
    one, four = planned(inference(A100)).room, planned(inference("Standard_NC96ads_A100_v4")).room
    assert one and four and four.requests == 4 * one.requests and four.context_tokens == one.context_tokens


def test_the_transformers_runtime_has_the_room_of_one_gpu_however_many_a_node_has() -> None:
    annotations = {"kaito.sh/runtime": "transformers"}
    sizes = A100, "Standard_NC96ads_A100_v4"
    one, four = (planned(inference(size, annotations=annotations)) for size in sizes)
    assert one.memory == four.memory and one.room == four.room
    assert "idle-gpus" in codes(four, "warning") and "idle-gpus" not in codes(one, "warning")


def test_what_only_several_gpus_hold_does_not_fit_the_transformers_runtime_and_vllm_is_the_way_out() -> None:
    size, annotations = "Standard_NC96ads_A100_v4", {"kaito.sh/runtime": "transformers"}
    made = planned(inference(size, "llama-3.3-70b-instruct", annotations=annotations))
    (text,) = [found.message for found in made.findings if found.code == "does-not-fit"]
    assert f"does not fit one GPU of {size} (64.9 GiB usable), and the transformers runtime uses one GPU" in text
    assert text.endswith("choose a smaller model, or the vllm runtime (1 nodes)")


@pytest.mark.parametrize(
    ("preset", "size", "loaded", "form"),
    [
        ("gpt-oss-20b", A10, 2 * 20 * 10**9, "unpacked from mxfp4 to 16 bits"),
        ("deepseek-r1-0528", A100, 2 * 641.30 * GIB, "unpacked from fp8 to 16 bits"),
        ("gpt-oss-20b", CPU, 4 * 20 * 10**9, "unpacked from mxfp4 to 32 bits"),
    ],
)
def test_packed_weights_count_as_what_the_server_unpacks_them_to(
    preset: str, size: str, loaded: float, form: str
) -> None:
    made = planned(inference(size, preset, annotations={"kaito.sh/runtime": "transformers"}))
    assert made.memory and made.memory.weights == pytest.approx(loaded, rel=1e-3)
    (text,) = [found.message for found in made.findings if found.code == "does-not-fit"]
    assert form in text


def test_packed_weights_stay_packed_with_vllm() -> None:
    memory = planned(inference(A100, "gpt-oss-20b")).memory
    assert memory and memory.weights == load_preset("gpt-oss-20b").weights_bytes


def test_a_users_shorter_context_leaves_room_for_more_requests() -> None:
    made = planned(inference(A100, config="c"), bundle=config("vllm: {max-model-len: 4096}"))
    assert made.room and (made.room.context_tokens, made.room.requests) == (4096, made.room.tokens // 4096)


def test_a_part_of_a_gpu_has_that_part_of_room() -> None:
    part, whole = planned(inference(FRACTION, "smollm2-135m-instruct")).memory, planned(inference(A10)).memory
    assert part and whole and (part.gpu, whole.gpu) == (8 * GIB, 24 * GIB)


@pytest.mark.parametrize(
    ("spread", "kv_heads", "latent", "parts"),
    [
        (Parallelism(tensor=4), 8, False, 4),
        (Parallelism(tensor=8, pipeline=2), 8, False, 16),
        (Parallelism(tensor=8), 2, False, 2),
        (Parallelism(tensor=8, pipeline=2), 128, True, 2),
    ],
)
def test_a_head_and_a_latent_vector_are_never_split(
    spread: Parallelism, kv_heads: int, latent: bool, parts: int
) -> None:
    assert estimator.vllm_cache_parts(spread, kv_heads, latent) == parts


def test_layers_with_a_window_or_without_attention_leave_room_for_longer_requests() -> None:
    plain = replace(load_preset("phi-4-mini-instruct"), context_length=10**9)
    hybrid = replace(plain, attention_layers=plain.layers // 4)
    windowed = replace(hybrid, window_layers=plain.layers - plain.layers // 4, window_tokens=1024)
    rooms = [room_of(one, 20 * GIB, one.context_length) for one in (plain, hybrid, windowed)]
    lengths = [room.context_tokens for room in rooms if room]
    assert lengths[1] == pytest.approx(4 * lengths[0], rel=1e-4)
    assert lengths[2] == pytest.approx(lengths[1] - 3 * 1024, abs=8)
    for preset, length in zip((plain, hybrid, windowed), lengths, strict=True):
        assert preset.cache_bytes(length) <= 20 * GIB < preset.cache_bytes(length + 1)


def test_without_a_byte_there_is_no_room() -> None:
    assert room_of(load_preset("phi-4-mini-instruct"), 0, 4096) is None


def test_every_gpu_holds_all_of_a_tuning() -> None:
    one, four = planned(tuning(T4)).memory, planned(tuning("Standard_NC64as_T4_v3")).memory
    assert one and four and one.terms == four.terms


def test_the_users_training_decides_the_memory() -> None:
    def likely(text: str, **more: str) -> int:
        bundle = config(f"training_config: {text}", "training_config.yaml")
        memory = planned(tuning(A100, config="c", **more), bundle=bundle).memory
        assert memory
        return total(memory.terms).likely

    plain = likely("{}")
    assert plain < likely("{LoraConfig: {r: 64}}") < likely("{LoraConfig: {r: 64, target_modules: all-linear}}") * 1.1
    assert plain < likely("{TrainingArguments: {per_device_train_batch_size: 4}}")
    assert plain < likely("{TrainingArguments: {max_length: 8192}}")
    assert plain < likely("{TrainingArguments: {gradient_checkpointing: false}}")
    assert plain < likely("{QuantizationConfig: {load_in_8bit: true}}") < likely("{}", method="lora")


def test_a_tuning_that_does_not_fit_says_how_much_is_missing_and_what_would_help() -> None:
    found = planned(tuning(V100, "phi-4-mini-instruct", method="lora", config="c"), region="eastus",
                    bundle=config("training_config: {TrainingArguments: {per_device_train_batch_size: 8}}",
                                  "training_config.yaml"))  # fmt: skip
    (text,) = [one.message for one in found.findings if one.code == "does-not-fit"]
    for part in ("GiB (", "1 x NVIDIA V100 with 16.0 GiB", "USD an hour", "method qlora", "fewer rows", "max_length"):
        assert part in text


def test_one_node_that_costs_less_is_named_where_prices_are_known() -> None:
    made = planned(inference(A10, "phi-4"), region="eastus")
    (text,) = [one.message for one in made.findings if one.code == "fewer-nodes"]
    assert made.node_count == 2 and "needs 2 of Standard_NV36ads_A10_v5 (6.40 USD an hour)" in text
    assert "one Standard_NC24ads_A100_v4 holds it for 3.67" in text
    dear = planned(inference(A100, "llama-3.3-70b-instruct"), region="eastus")  # 3 nodes; one larger one costs more
    assert dear.node_count == 3 and "fewer-nodes" not in codes(dear, "info") | codes(
        planned(inference(A10, "phi-4")), "info"
    )


def test_a_model_is_not_spread_over_more_nodes_than_it_has_layers() -> None:
    (text,) = [
        one.message for one in planned(inference("Standard_NV6ads_A10_v5", "phi-4")).findings if "fit" in one.code
    ]
    assert "would need 44 nodes" in text and "has 40 layers" in text and "choose Standard_" in text


def test_tuning_without_a_gpu_may_grow_to_a_larger_node() -> None:
    spec = tuning("Standard_D2s_v5", "phi-3-mini-128k-instruct", method="lora")
    (text,) = [one.message for one in planned(spec).findings if one.code == "does-not-fit"]
    assert "choose Standard_D8s_v" in text


def test_ways_out_come_cheapest_first_where_prices_are_known() -> None:
    names = [size.name for size in cheapest(gpu_sizes(), "westeurope")]
    prices = [price_of(name, "westeurope") for name in names]
    hours = [price.per_hour for price in prices if price]
    assert len(hours) == len(names) > 5 and hours == sorted(hours)
    assert cheapest(gpu_sizes(), None) == gpu_sizes() == cheapest(gpu_sizes(), "nowhere")


def test_tuning_without_a_gpu_counts_float32_and_what_the_node_keeps() -> None:
    made = planned(tuning(CPU, "smollm2-135m-instruct", method="lora"))
    assert made.memory and made.memory.gpu == 32 * GIB and not codes(made, "error")
    assert made.memory.weights == 4 * 134515008
