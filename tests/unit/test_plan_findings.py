"""Each finding of the plan: when it comes, how bad it is."""

import re
from dataclasses import replace
from typing import Any

import pytest

from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.plan import NodeOptions, plan
from kaito_components.presets import load_preset
from kaito_components.presets.retired import retired_models
from kaito_components.spec.model import Adapter, DataSource, InferenceSet, Workspace
from tests.unit.workspaces import (
    A100,
    AMD,
    CPU,
    EXISTING,
    T4,
    codes,
    config,
    inference,
    planned,
    template,
    tuning,
)

PHI_3 = "phi-3-mini-128k-instruct"
VLLM, TRANSFORMERS = {"kaito.sh/runtime": "vllm"}, {"kaito.sh/runtime": "transformers"}
KEY = {"pulumi.kaito.sh/api-key-secret": "key"}
OWN_IMAGE = {"image": "r.example.com/weights:1"}
ADAPTER = Adapter(DataSource(name="a", image="r.example.com/a:1"), 0.5)
NAMESAKE = Adapter(DataSource(name="phi-4-mini-instruct", image="r.example.com/a:1"))
LONG = config("vllm: {max-model-len: 600000}")
TIGHT = config("training_config: {TrainingArguments: {max_length: 8192}}", "training_config.yaml")

REFUSED: list[tuple[str, Workspace, NodeOptions]] = [
    ("unknown-preset", inference(preset="phi-4-mini"), NodeOptions()),
    ("model-deprecated", inference(preset="falcon-40b-instruct"), NodeOptions()),
    ("model-unresolved", inference(preset="org/unheard-of"), NodeOptions()),
    ("vm-size-unknown", inference("Standard_NC24ads_A100_v5"), NodeOptions()),
    ("vm-size-unknown", inference("Standard_ND96isf_H100_v5"), NodeOptions()),
    ("instance-type-missing", inference(None), NodeOptions()),
    ("instance-type-on-existing-nodes", inference(), EXISTING),
]
FOUND: list[tuple[str, str, Workspace, dict[str, Any]]] = [
    ("error", "does-not-fit", inference(A100, PHI_3, config="c"), {"bundle": LONG}),
    ("error", "does-not-fit", tuning("Standard_D2s_v5", method="lora"), {}),
    ("warning", "does-not-fit", inference("Standard_D2s_v5", annotations={"kaito.sh/bypass-resource-checks": ""}), {}),
    ("error", "does-not-fit", inference("Standard_NV6ads_A10_v5", "phi-4"), {}),
    ("info", "fewer-nodes", inference("Standard_NV36ads_A10_v5", "phi-4"), {"region": "eastus"}),
    ("warning", "tight-fit", tuning(T4, method="lora", config="c"), {"bundle": TIGHT}),
    ("error", "gpu-without-cuda", inference(AMD), {}),
    ("error", "runtime-needs-newer-gpu", inference(T4, annotations=VLLM), {}),
    ("error", "runtime-needs-newer-gpu", inference(CPU, "smollm2-135m-instruct", annotations=VLLM), {}),
    ("error", "model-needs-newer-gpu", inference("Standard_NC96ads_A100_v4", "deepseek-v3.2"), {}),
    ("error", "dtype-needs-newer-gpu", inference(T4, annotations={"pulumi.kaito.sh/dtype": "bfloat16"}), {}),
    ("warning", "without-effect", tuning(annotations={"pulumi.kaito.sh/dtype": "float32"}), {}),
    ("error", "runtime-not-of-preset", inference(preset="qwen3-8b-awq", annotations=TRANSFORMERS), {}),
    ("error", "tuning-unsupported", tuning(preset="llama-3.1-8b-instruct"), {}),
    ("error", "gated-without-secret", inference(preset="gemma-3-4b-it"), {}),
    ("error", "adapter-name-taken", inference(adapters=(NAMESAKE,)), {}),
    ("info", "revision-unpinned", inference(preset="granite-4.1-8b"), {}),
    ("warning", "license-non-commercial", inference("Standard_ND96isr_H200_v5", "minimax-m2.7"), {}),
    ("warning", "license-forbids-image", inference(preset="minimax-m2.7", preset_options=OWN_IMAGE), {}),
    ("info", "license-unknown", inference(preset="mistral-medium-3.5-128b", preset_options=OWN_IMAGE), {}),
    ("error", "too-many-nodes", inference(T4, count=2), {}),
    ("warning", "idle-gpus", inference("Standard_NC64as_T4_v3", PHI_3), {}),
    ("warning", "idle-gpus", inference(None, annotations=TRANSFORMERS), {"nodes": replace(EXISTING, gpus_per_node=2)}),
    ("warning", "parser-not-read", inference(T4), {"model": replace(load_preset(PHI_3), tool_call_parser="kimi_k2")}),
    ("warning", "parser-not-read", inference(T4), {"model": replace(load_preset(PHI_3), reasoning_parser="glm45")}),
    ("error", "strength-with-vllm", inference(adapters=(ADAPTER,)), {}),
    ("error", "context-beyond-model", inference(A100, PHI_3, config="c"), {"bundle": LONG}),
    ("error", "context-not-a-number", inference(config="c"), {"bundle": config("vllm: {max-model-len: 4k}")}),
    ("error", "context-not-a-number", inference(config="c"), {"bundle": config("vllm: [")}),
    ("info", "context-cut", inference(T4, PHI_3), {}),
    ("info", "qlora-without-gpu", tuning(CPU, "smollm2-135m-instruct"), {}),
    ("error", "weights-conflict",
     inference(annotations={"pulumi.kaito.sh/weights": "pvc:a"}, preset_options={"image": "r.example.com/a:1"}), {}),
    ("error", "name-too-long", replace(template(count=2), name="w" * 53), {}),
    ("info", "instance-type-defaulted", inference(None, api_version="kaito.sh/v1alpha1"), {}),
    ("warning", "reserved-label-left-out", inference(labels_wanted={"a": "b", "kaito.sh/workspace": "x"}), {}),
    ("error", "gpus-per-node", inference(), {"nodes": NodeOptions(gpus_per_node=2)}),
    ("error", "gpus-per-node", inference(None), {"nodes": replace(EXISTING, gpus_per_node=-1)}),
    ("error", "disk-too-small", inference(), {"nodes": NodeOptions(os_disk_gib=80)}),
    ("error", "disk-too-large", template(), {"nodes": NodeOptions(os_disk_gib=2049)}),
    ("warning", "image-unpinned", tuning(input=DataSource(image="r.example.com:5000/data")), {}),
    ("warning", "image-unpinned", inference(adapters=(Adapter(DataSource(name="a", image="r/a:latest")),)), {}),
    ("warning", "image-unpinned", inference(annotations={"pulumi.kaito.sh/weights": "image:r/w"}), {}),
    ("error", "autoscaling-range", inference(), {"nodes": NodeOptions(min_count=2, max_count=3)}),
    ("warning", "spot-inference", inference(), {"nodes": NodeOptions(spot=True)}),
    ("warning", "spot-inference", tuning(), {"nodes": NodeOptions(spot=True)}),
    ("info", "nodes-unchecked", inference(None), {"nodes": EXISTING}),
    ("warning", "image-registry-unset", inference(T4), {"image_registry": None}),
    ("warning", "public-endpoint", inference(annotations={"kaito.sh/enablelb": "True"}), {}),
    ("warning", "public-endpoint", template(annotations={"kaito.sh/enablelb": "True", **KEY}), {}),
    ("warning", "without-effect", tuning(annotations={**KEY, "pulumi.kaito.sh/serve": "false"}), {}),
    ("warning", "without-effect", inference(annotations={"pulumi.kaito.sh/serve": "false"}), {}),
    ("warning", "tuned-not-served", tuning(T4, "phi-4"), {}),
    ("warning", "without-effect", inference(T4, config="c"), {"bundle": config("vllm: {}")}),
    ("warning", "without-effect", inference(T4, annotations={"kaito.sh/performance-mode": "throughput"}), {}),
    ("warning", "without-effect", template(annotations=VLLM), {}),
    ("info", "config-elsewhere", inference(config="c"), {}),
    ("warning", "vm-size-retired", tuning(), {}),
    ("warning", "vm-size-unusable", inference("Standard_NC144ds_xl_RTXPRO6000BSE_v6"), {}),
    ("info", "price-unknown", inference(), {"region": "westeurop"}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "spec", "nodes"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_cannot_be_planned_is_refused(code: str, spec: Workspace, nodes: NodeOptions) -> None:
    with pytest.raises(InvalidWorkspace) as refused:
        plan(spec, nodes=nodes)
    assert [found.code for found in refused.value.findings] == [code]


@pytest.mark.parametrize(("severity", "code", "spec", "options"), FOUND)
def test_it_is_found(severity: str, code: str, spec: Workspace, options: dict[str, Any]) -> None:
    assert code in codes(planned(spec, **options), severity)


PUBLIC_WITH_KEY = inference(annotations={"kaito.sh/enablelb": "True", **KEY})


@pytest.mark.parametrize("spec", [inference(), PUBLIC_WITH_KEY, inference(CPU, "smollm2-135m-instruct"), template()])
def test_an_ordinary_workspace_has_nothing_to_say(spec: Workspace) -> None:
    assert planned(spec).findings == ()


def message(spec: Workspace, code: str, **options: Any) -> str:
    return next(found.message for found in planned(spec, **options).findings if found.code == code)


def test_a_gated_model_with_a_secret_and_kaitos_own_image_of_weights_have_nothing_to_say() -> None:
    secret = {"model_access_secret": "hf"}
    assert "gated-without-secret" not in codes(
        planned(inference(preset="gemma-3-4b-it", preset_options=secret)), "error"
    )
    assert not any("license" in found.code for found in planned(tuning(A100)).findings)


def test_a_retired_model_names_the_one_that_takes_its_place() -> None:
    for gone in retired_models():
        assert load_preset(gone.replacement).name == gone.replacement
        with pytest.raises(InvalidWorkspace, match=f"no longer served: .*; use {re.escape(gone.replacement)} instead"):
            plan(inference(preset=gone.name.upper()))


def test_a_misfit_names_value_reason_and_sizes_that_fit() -> None:
    text = message(inference("Standard_D2s_v5"), "does-not-fit")
    assert (
        "phi-4-mini-instruct (14.3 GiB of weights in float32) does not fit one Standard_D2s_v5 (4.0 GiB usable)" in text
    )
    assert "choose Standard_D8s_v5" in text


def test_sizes_named_for_a_long_context_hold_it() -> None:
    bundle = config("vllm: {max-model-len: 131072}")
    text = message(inference("Standard_NV36ads_A10_v5", PHI_3, config="c"), "does-not-fit", bundle=bundle)
    named = re.findall(r"Standard_\w+", text.split("choose")[1])
    assert named
    for size in named:
        assert not codes(planned(inference(size, PHI_3, config="c"), bundle=bundle), "error")


def test_errors_come_first_and_carry_file_and_line() -> None:
    spec = inference(T4, count=2, file="w.yaml", lines={"resource.count": 7}, config="c")
    first = planned(spec, image_registry=None).findings[0]
    assert isinstance(first, Finding) and str(first).startswith("w.yaml:7: resource.count: is 2")


def test_spot_nodes_may_serve_where_other_replicas_answer_meanwhile() -> None:
    replicas = [InferenceSet("phi", "default", count, inference()).replicas()[0] for count in (1, 2)]
    found = [codes(planned(one, nodes=NodeOptions(spot=True)), "warning") for one in replicas]
    assert found == [{"spot-inference"}, set()]
