"""The Workspaces that KAITO's repository ships as examples are planned, or refused with a true reason.

Each row holds what its file says of model, size and runtime. Source: KAITO examples/inference, examples/fine-tuning
and examples/mig, of version 0.12 unless the row says otherwise. `spec` is tested with the shapes of these files in
spec/test_spec_examples.py.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

from kaito_components.errors import Finding, InvalidWorkspace, KaitoError
from kaito_components.plan import NodeOptions, plan
from kaito_components.spec import read_files

A100, H100_2, ARC = "Standard_NC24ads_A100_v4", "Standard_NC80adis_H100_v5", "Standard_NC4_A2"
SECRET = "    presetOptions: {modelAccessSecret: hf}\n"
TRANSFORMERS = "kaito.sh/runtime: transformers"
OFFLINE = KaitoError("Hugging Face cannot be reached; kaito models add ORG/NAME")

# file -> (size, preset, its options, annotation, node count; or the codes of the errors)
INFERENCE: dict[str, tuple[str, str, str, str, int | set[str]]] = {
    "phi_3_mini_4k": (A100, "microsoft/Phi-3-mini-4k-instruct", "", "", 1),
    "phi_3_mini_128k": (A100, "microsoft/Phi-3-mini-128k-instruct", "", "", 1),
    "phi_3_medium_4k": (A100, "microsoft/Phi-3-medium-4k-instruct", "", "", 1),
    "phi_3_medium_128k": (A100, "microsoft/Phi-3-medium-128k-instruct", "", "", 1),
    "phi_3.5-instruct": (A100, "microsoft/Phi-3.5-mini-instruct", "", "", 1),
    "qwen_2.5_coder_7b-instruct": (A100, "Qwen/Qwen2.5-Coder-7B-Instruct", "", "", 1),
    "qwen_2.5_coder_32b-instruct": (A100, "Qwen/Qwen2.5-Coder-32B-Instruct", "", "", 2),
    "mistral-3-3b-instruct-2512": (H100_2, "mistralai/Ministral-3-3B-Instruct-2512", "", "", 1),
    "mistral-medium-3.5": (A100, "mistralai/Mistral-Small-4-119B-2603", SECRET, "", 2),
    "gemma_4_12b_instruct": (H100_2, "google/gemma-4-12B-it", SECRET, "", 1),
    "gpt_oss_20b": (A100, "gpt-oss-20b", "", TRANSFORMERS, 1),
    "gpt_oss_120b": (A100, "gpt-oss-120b", "", TRANSFORMERS, {"does-not-fit"}),
    "llama-3.1_8b_instruct": ("Standard_NC96ads_A100_v4", "meta-llama/Llama-3.1-8B-Instruct", SECRET, "", 1),
    "llama-3.3_70b_instruct": ("Standard_NC48ads_A100_v4", "meta-llama/Llama-3.3-70B-Instruct", SECRET, "", 2),
    "llama-3.3_70b_instruct, without its Secret": (
        "Standard_NC48ads_A100_v4", "meta-llama/Llama-3.3-70B-Instruct", "", "", {"gated-without-secret"},
    ),
    "accelerator": ("", "llama-3.1-8b-instruct", SECRET, "", 1),
    "deepseek_v4_flash_node_image": (
        "", "deepseek-ai/DeepSeek-V4-Flash", "", "kaito.sh/use-local-weights: 'true'", {"model-unresolved"},
    ),
    "mistral_7b-instruct (0.3)": ("Standard_NC24ads_A100_v4", "mistral-7b-instruct", "", "", 1),
    "falcon_7b (0.3)": ("Standard_NC12s_v3", "falcon-7b", "", "", {"model-deprecated"}),
    "falcon_40b-instruct (0.3)": ("Standard_NC96ads_A100_v4", "falcon-40b-instruct", "", "", {"model-deprecated"}),
    "llama2_13b-chat (0.3)": ("Standard_NC12s_v3", "llama-2-13b-chat", "", "", {"model-deprecated"}),
    "phi-2 (0.3)": ("Standard_NC6s_v3", "phi-2", "", "", {"model-deprecated"}),
    "arc: phi_2": ("Standard_NK6", "phi-2", "", "", {"model-deprecated", "vm-size-unknown"}),
    "arc: phi_3_mini_4k": (ARC, "phi-3-mini-4k-instruct", "", "", {"vm-size-unknown"}),
    "arc: deepseek_r1_distill_qwen_14b": (ARC, "deepseek-r1-distill-qwen-14b", "", "", {"vm-size-unknown"}),
}  # fmt: skip


@pytest.mark.parametrize("file", INFERENCE)
def test_an_example_that_serves_is_planned_or_refused_with_a_true_reason(file: str, tmp_path: Path) -> None:
    size, preset, options, annotation, expected = INFERENCE[file]
    text = head(size, annotation) + f"inference:\n  preset:\n    name: {preset}\n{options}"
    assert outcome(tmp_path, text, size) == expected


@pytest.mark.parametrize(
    ("size", "preset", "expected"),
    [
        ("Standard_NC6s_v3", "phi-3-mini-128k-instruct", 1),  # the quick start's tuning
        ("Standard_NC12s_v3", "falcon-7b", {"model-deprecated"}),  # kaito_workspace_tuning_falcon_7b_oai, _mental
    ],
)
def test_an_example_that_tunes_is_planned_or_refused_with_a_true_reason(
    size: str, preset: str, expected: int | set[str], tmp_path: Path
) -> None:
    text = head(size, "") + (
        f"tuning:\n  preset: {{name: {preset}}}\n  method: qlora\n"
        "  input: {urls: ['https://example.com/train.parquet']}\n"
        "  output: {image: 'r.example.com/out:0.0.1', imagePushSecret: push}\n"
    )
    assert outcome(tmp_path, text, size) == expected


def head(size: str, annotation: str) -> str:
    annotations = f"  annotations:\n    {annotation}\n" if annotation else ""
    resource = f"  instanceType: {size}\n" if size else ""
    return (
        f"apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata:\n  name: workspace-example\n{annotations}"
        f"resource:\n{resource}  labelSelector:\n    matchLabels:\n      apps: example\n"
    )


def outcome(folder: Path, text: str, size: str) -> int | set[str]:
    """The number of nodes, or the codes of what stands in the way. Hugging Face cannot be asked here."""
    (folder / "w.yaml").write_text(text)
    (workspace,) = read_files([folder / "w.yaml"]).workspaces
    nodes = NodeOptions(provider="aks" if size else "existing")
    model = OFFLINE if "DeepSeek-V4-Flash\n" in text else None
    try:
        made = plan(workspace, nodes=nodes, image_registry="r.example.com", model=model)
    except InvalidWorkspace as refused:
        return errors(refused.findings)
    return errors(made.findings) or made.node_count


def errors(findings: Iterable[Finding]) -> set[str]:
    return {found.code for found in findings if found.severity == "error"}
