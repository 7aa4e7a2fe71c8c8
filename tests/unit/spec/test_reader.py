"""Reading KAITO's files: unchanged, and every problem at once."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.spec.reader import read_documents, read_files, workspace_from_args

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"
INFERENCE: dict[str, Any] = {
    "apiVersion": "kaito.sh/v1beta1",
    "kind": "Workspace",
    "metadata": {"name": "phi"},
    "resource": {"instanceType": "Standard_NC24ads_A100_v4", "labelSelector": {"matchLabels": {"apps": "phi"}}},
    "inference": {"preset": {"name": "phi-4-mini-instruct"}},
}
TUNING: dict[str, Any] = {
    **{key: INFERENCE[key] for key in ("apiVersion", "kind", "metadata", "resource")},
    "tuning": {
        "preset": {"name": "phi-3-mini-128k-instruct"},
        "method": "QLoRA",
        "input": {"urls": ["https://example.com/a.parquet"]},
        "output": {"image": "r.example.com/out:1", "imagePushSecret": "push"},
    },
}


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `base` with the field at `path` set, or taken away where value is None."""
    copied = copy.deepcopy(base)
    *parents, last = path.split("/")
    place = copied
    for parent in parents:
        place = place.setdefault(parent, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copied


def problems(*documents: Any) -> list[Finding]:
    with pytest.raises(InvalidWorkspace) as refused:
        read_documents(documents)
    return list(refused.value.findings)


def test_the_quick_start_with_its_placeholders_filled_is_accepted(tmp_path: Path) -> None:
    text = (QUICKSTART / "workspace-tuning-phi-3.yaml").read_text()
    text = text.replace("ACR_REPO_HERE.azurecr.io/IMAGE_NAME_HERE", "demo.azurecr.io/phi").replace(
        "ACR_REGISTRY_SECRET_HERE", "acr-push"
    )
    (tmp_path / "w.yaml").write_text(text)
    (found,) = read_files([tmp_path / "w.yaml"]).workspaces
    assert found.tuning and found.tuning.method == "qlora" and found.tuning.output.image_push_secret == "acr-push"


def test_unfilled_placeholders_are_said_with_their_lines() -> None:
    with pytest.raises(InvalidWorkspace) as refused:
        read_files([QUICKSTART / "workspace-tuning-phi-3.yaml"])
    found = {(f.code, f.field, f.line) for f in refused.value.findings}
    assert found == {("placeholder", "tuning.output.image", 18), ("placeholder", "tuning.output.imagePushSecret", 19)}


RULES = [
    (INFERENCE, "metadata/name", "Not_A_Label", "invalid-name"),
    (INFERENCE, "inference", None, "one-of"),
    (INFERENCE, "tuning", TUNING["tuning"], "one-of"),
    (INFERENCE, "inference/template", {"spec": {"containers": [{"name": "a"}]}}, "one-of"),
    (INFERENCE, "inference", {"template": {"spec": {}}}, "missing-field"),
    (INFERENCE, "inference/preset/accessMode", "private", "missing-field"),
    (INFERENCE, "inference/adapters", [{"source": {"name": "a", "urls": ["https://e.com/a"]}}], "adapter-source"),
    (INFERENCE, "inference/adapters", [{"source": {"name": "a", "image": "r/a:1"}}] * 2, "duplicate-adapter"),
    (INFERENCE, "inference/adapters", [{"source": {"name": "a", "image": "r/a"}, "strength": "2"}], "adapter-strength"),
    (
        INFERENCE,
        "inference/adapters",
        [{"source": {"name": f"a{i}", "image": "r/a"}} for i in range(11)],
        "too-many-adapters",
    ),
    (INFERENCE, "metadata/annotations", {"kaito.sh/runtime": "tgi"}, "annotation-value"),
    (INFERENCE, "metadata/annotations", {"kaito.sh/node-image-family": "windows"}, "annotation-value"),
    (INFERENCE, "metadata/annotations", {"kaito.sh/performance-mode": "fast"}, "annotation-value"),
    (INFERENCE, "metadata/annotations", {"kaito.sh/use-local-weights": "yes"}, "annotation-value"),
    (INFERENCE, "metadata/annotations", {"kaito.sh/runtme": "vllm"}, "unknown-annotation"),
    (INFERENCE, "metadata/annotations", {"pulumi.kaito.sh/weights": "nfs:x"}, "annotation-value"),
    (INFERENCE, "resource/labelSelector", {"matchLabels": {"kaito.sh/workspace": "x"}}, "reserved-label"),
    (INFERENCE, "resource/labelSelector", {"matchExpressions": [{"key": "a", "operator": "Exists"}]}, "selector"),
    (INFERENCE, "resource/partition", {"mode": "accelerator", "count": 1}, "partition"),
    (INFERENCE, "resource/partition", {"mode": "mig", "profile": "1g.10gb"}, "partition-unsupported"),
    (INFERENCE, "resource/count", "two", "wrong-type"),
    (INFERENCE, "resource/count", 0, "wrong-type"),
    (INFERENCE, "resource/instancetype", "x", "unknown-field"),
    (INFERENCE, "kind", "RAGEngine", "unsupported-kind"),
    (INFERENCE, "apiVersion", "kaito.sh/v2", "wrong-type"),
    (TUNING, "tuning/method", "full", "tuning-method"),
    (TUNING, "tuning/input", {}, "one-of"),
    (TUNING, "tuning/input/image", "r/a:1", "one-of"),
    (TUNING, "tuning/input", {"urls": ["ftp://e.com/a"]}, "invalid-url"),
    (TUNING, "tuning/input", {"urls": ["http://localhost/a"]}, "private-url"),
    (TUNING, "tuning/input", {"urls": ["http://169.254.169.254/a"]}, "private-url"),
    (TUNING, "tuning/input", {"urls": ["http://metadata.google.internal/a"]}, "private-url"),
    (TUNING, "tuning/input", {"image": "r/UPPER:1"}, "invalid-image"),
    (TUNING, "tuning/output", {}, "one-of"),
    (TUNING, "tuning/output", {"image": "r.example.com/out:1"}, "missing-field"),
    (TUNING, "tuning/output/volumeSource", {"emptyDir": {}}, "one-of"),
    (TUNING, "tuning/output/imagePushSecret", "Bad_Name", "invalid-name"),
    (TUNING, "tuning/preset", None, "missing-field"),
    (TUNING, "resource/count", 2, "tuning-one-node"),
]


@pytest.mark.parametrize(("base", "path", "value", "code"), RULES, ids=lambda part: str(part)[:40])
def test_a_broken_rule_is_one_named_error(base: dict[str, Any], path: str, value: Any, code: str) -> None:
    assert [f.code for f in problems(changed(base, path, value)) if f.severity == "error"] == [code]


TRAINING = [
    ("training_config: {Other: {}}", {"config-section", "quantization"}),
    ("training_config: {QuantizationConfig: {load_in_4bit: true, load_in_8bit: true}}", {"quantization"}),
    ("training_config: {QuantizationConfig: {load_in_4bit: maybe}}", {"quantization"}),
    ("training_config: {}", {"quantization"}),
    ("[]", {"config-content"}),
    (
        "training_config: {QuantizationConfig: {load_in_4bit: true}, TrainingArguments: {output_dir: ../x}}",
        {"output-dir"},
    ),
]


@pytest.mark.parametrize(("text", "codes"), TRAINING)
def test_a_training_configuration_beside_the_workspace_is_checked(text: str, codes: set[str]) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"training_config.yaml": text},
    }
    assert {f.code for f in problems(changed(TUNING, "tuning/config", "c"), config)} == codes


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Workspace\nkind: Workspace\n")
    (tmp_path / "b.yaml").write_text("kind: Pod\n---\nkind: InferenceSet\n")
    with pytest.raises(InvalidWorkspace) as refused:
        read_files([tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "missing.yaml"])
    codes = [(Path(f.file).name, f.line, f.code) for f in refused.value.findings]
    assert codes == [
        ("a.yaml", 2, "not-yaml"),
        ("b.yaml", 1, "unsupported-kind"),
        ("b.yaml", 3, "unsupported-kind"),
        ("missing.yaml", None, "unreadable-file"),
    ]


def test_a_misspelt_field_is_met_with_the_right_one() -> None:
    (found,) = problems(changed(INFERENCE, "resource/instanceTyp", "x"))
    assert "did you mean instanceType?" in str(found)


def test_a_secrets_value_is_in_no_message_and_no_repr() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "hunter2!"}}
    assert "hunter2" not in str(problems(secret))
    number = {**secret, "stringData": {"k": 271828}, "data": {}}
    assert "271828" not in str(problems(number))
    good = read_documents([{**secret, "data": {}, "stringData": {"k": "hunter2!"}}])
    assert good.secrets[0].string_data["k"] == "hunter2!" and "hunter2" not in repr(good)


def test_deprecated_fields_are_accepted_with_a_warning() -> None:
    document = changed(changed(INFERENCE, "resource/count", 2), "resource/preferredNodes", ["n"])
    (found,) = read_documents([document]).workspaces
    assert {f.field for f in found.findings} == {"resource.count", "resource.preferredNodes"}


def test_what_kubectl_prints_is_accepted() -> None:
    document = changed(changed(INFERENCE, "status", {"state": "Ready"}), "metadata/uid", "1")
    (found,) = read_documents([document]).workspaces
    assert {f.code for f in found.findings} == {"server-field"}


def test_python_args_say_the_same_as_the_file() -> None:
    args = {
        "resource": {"instance_type": "Standard_NC24ads_A100_v4", "label_selector": {"match_labels": {"apps": "phi"}}},
        "inference": {"preset": {"name": "phi-4-mini-instruct"}},
    }
    (from_file,) = read_documents([INFERENCE]).workspaces
    assert workspace_from_args("phi", args) == (
        from_file.__class__(**{**from_file.__dict__, "file": "Workspace('phi')"})
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "metadata",
    "resource",
    "inference",
    "tuning",
    "inference/preset",
    "resource/labelSelector",
    "inference/adapters",
]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FIELDS), JSON)
def test_whatever_is_written_only_our_error_comes(path: str, value: Any) -> None:
    document = INFERENCE if value is None else changed(INFERENCE, path, value)
    try:
        read_documents([document])
    except InvalidWorkspace as refused:
        assert all(str(finding) for finding in refused.findings)
