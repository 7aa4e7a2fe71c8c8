"""Whatever is asked for, the plan raises our errors alone, and its numbers agree with each other."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaito_components.errors import InvalidWorkspace
from kaito_components.plan import NodeOptions, Plan, WaitOptions, plan
from kaito_components.plan.cost import cost_of
from kaito_components.plan.fit import fit
from kaito_components.plan.types import Hardware
from kaito_components.presets import load_preset, preset_names, tunable_presets
from kaito_components.prices import regions_of
from kaito_components.sizing.terms import total
from kaito_components.skus import _rows, find_vm_size
from kaito_components.spec.model import Workspace
from kaito_components.units import GIB
from tests.unit.workspaces import codes, config, inference, planned, template, tuning

SIZES = [row["name"] for row in _rows()]
REGIONS = regions_of("Standard_D4s_v5")
RUNTIMES = st.sampled_from([{}, {"kaito.sh/runtime": "vllm"}, {"kaito.sh/runtime": "transformers"}])
DTYPES = st.sampled_from([{}, {"pulumi.kaito.sh/dtype": "float32"}, {"pulumi.kaito.sh/dtype": "bfloat16"}])
BYPASS = st.sampled_from([{}, {"kaito.sh/bypass-resource-checks": ""}])
LENGTHS = st.one_of(st.none(), st.integers(1, 2**21), st.sampled_from(["auto", "-1", "x", "0", "1e9", "[]", "{a: b}"]))
TRAINING = st.fixed_dictionaries(
    {},
    optional={
        "LoraConfig": st.fixed_dictionaries({"r": st.one_of(st.integers(-1, 512), st.text(max_size=3))}),
        "TrainingArguments": st.fixed_dictionaries(
            {"per_device_train_batch_size": st.integers(0, 64), "max_length": st.integers(0, 2**20)}
        ),
        "QuantizationConfig": st.fixed_dictionaries({"load_in_8bit": st.booleans()}),
    },
)
NODES = st.builds(
    NodeOptions,
    provider=st.sampled_from(["aks", "existing"]),
    spot=st.booleans(),
    min_count=st.one_of(st.none(), st.integers(0, 3)),
    max_count=st.one_of(st.none(), st.integers(1, 5)),
    gpus_per_node=st.one_of(st.none(), st.integers(-1, 16)),
)


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Four times in five what is usual, so that most examples get far."""
    return st.integers(0, 4).flatmap(lambda one: usual if one else odd)


@st.composite
def workspaces(draw: st.DrawFn) -> tuple[Workspace, str]:
    """A Workspace and the text of its ConfigMap."""
    size = draw(mostly(st.sampled_from(SIZES), st.one_of(st.none(), st.text(max_size=8))))
    name = draw(mostly(st.sampled_from(preset_names()), st.text(max_size=8)))
    annotations = draw(mostly(st.just({}), RUNTIMES)) | draw(mostly(st.just({}), DTYPES)) | draw(BYPASS)
    match draw(st.sampled_from(["inference", "inference", "tuning", "template"])):
        case "inference":
            length = draw(mostly(st.none(), LENGTHS))
            text = "" if length is None else f"vllm: {{max-model-len: {length}}}"
            return inference(
                size, name, config="c", annotations=annotations, count=draw(mostly(st.just(1), st.just(3)))
            ), text
        case "tuning":
            method = draw(st.sampled_from(["lora", "qlora"]))
            text = f"training_config: {draw(TRAINING)}"
            return tuning(size, name, method=method, config="c", annotations=annotations), text
    return template(size, draw(st.integers(1, 4)), annotations=annotations), ""


@given(workspaces(), mostly(st.just(NodeOptions()), NODES), mostly(st.sampled_from(REGIONS), st.just("nowhere")))
@settings(deadline=None, max_examples=500)
def test_a_plan_or_our_error_comes_out(made: tuple[Workspace, str], nodes: NodeOptions, region: str) -> None:
    spec, text = made
    key = "training_config.yaml" if spec.tuning else "inference_config.yaml"
    try:
        found = plan(spec, bundle=config(text, key), nodes=nodes, wait=WaitOptions(), region=region or None)
    except InvalidWorkspace as refused:
        assert refused.findings and all(one.severity in ("error", "warning", "info") for one in refused.findings)
    else:
        agree(found)


def agree(found: Plan) -> None:
    """What must hold between the numbers of any plan."""
    refused = bool(codes(found, "error"))
    assert found.node_count >= 1 and found.disk_bytes > 0 and found.timeout_seconds > 0
    if found.memory:
        assert all(0 <= one.low <= one.likely <= one.high for one in found.memory.terms)
        assert found.memory.free == found.memory.gpu - total(found.memory.terms).likely
    if found.memory and not refused and "does-not-fit" not in codes(found, "warning"):
        held = found.memory.terms[0].likely + found.memory.kv_cache_per_token
        assert held <= found.memory.gpu
    if found.room:
        assert found.room.context_tokens >= 1 and found.room.requests >= 1
        assert found.room.requests * found.room.context_tokens <= found.room.tokens
    if found.cost and found.pool:
        assert found.cost.per_hour > 0
        assert found.cost.per_month == pytest.approx(730 * found.cost.per_hour, rel=1e-3)
        assert found.cost == cost_of(found.pool, found.region, None)
    if found.runtime == "vllm" and found.memory and not refused:
        spread = found.tensor_parallel_size * found.pipeline_parallel_size * found.data_parallel_size
        assert spread == found.gpus_per_node * found.node_count


@given(
    st.sampled_from(preset_names()),
    st.sampled_from(["Standard_NC24ads_A100_v4", "Standard_NC96ads_A100_v4", "Standard_NV36ads_A10_v5"]),
    st.integers(4, 80),
    st.integers(1, 120),
)
@settings(deadline=None)
def test_more_gpu_memory_never_needs_more_nodes_nor_leaves_less_room(
    name: str, size: str, memory_gib: int, more_gib: int
) -> None:
    vm, preset = find_vm_size(size), load_preset(name)
    assert vm
    small, large = (replace(vm, gpu_memory_bytes=n * GIB) for n in (memory_gib, memory_gib + more_gib))
    for runtime in ("vllm", "transformers"):
        spec, hardware = inference(size, name), Hardware(vm.gpus, vm.compute_capability)
        less, more = (fit(spec, preset, one, hardware, runtime, "bfloat16", None) for one in (small, large))
        if less.findings:
            continue  # does not fit: nothing to compare
        assert not more.findings and more.node_count <= less.node_count
        if more.node_count == less.node_count and more.spread == less.spread and less.room:
            assert more.room and more.room.tokens >= less.room.tokens


@given(
    st.sampled_from(tunable_presets()),
    st.sampled_from(["lora", "qlora"]),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(64, 4096),
)
@settings(deadline=None)
def test_longer_rows_and_more_of_them_never_take_less(
    name: str, method: str, rows: int, more: int, length: int
) -> None:
    def likely(rows: int, length: int) -> int:
        text = f"training_config: {{TrainingArguments: {{per_device_train_batch_size: {rows}, max_length: {length}}}}}"
        spec = tuning("Standard_ND96isr_H200_v5", name, method=method, config="c")
        memory = planned(spec, bundle=config(text, "training_config.yaml")).memory
        assert memory
        return total(memory.terms).likely

    assert likely(rows, length) <= likely(rows + more, length) <= likely(rows + more, length + 64)
