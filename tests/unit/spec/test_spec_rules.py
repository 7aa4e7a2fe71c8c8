"""KAITO's create rules: each, broken alone, is one named error that says what is wrong."""

from typing import Any

import pytest

from kaito_components.spec.model import Partition
from tests.unit.spec.workspaces import (
    EXISTING,
    INFERENCE,
    OLD,
    TEMPLATE,
    TUNING,
    accepted,
    annotated,
    changed,
    problems,
)

ADAPTER = {"source": {"name": "a", "image": "r/a:1"}}
VOLUME = {"persistentVolumeClaim": {"claimName": "data"}}
CONTAINERS = "inference/template/spec/containers"

# (Workspace, field, its value or None to leave it out, code of the error, words of its message)
RULES: list[tuple[dict[str, Any], str, Any, str, str]] = [
    (INFERENCE, "metadata/name", "Not_A_Label", "invalid-name", "lower-case letters"),
    (INFERENCE, "metadata/name", "4bit", "invalid-name", "a letter first"),
    (INFERENCE, "metadata/name", "a" * 64, "invalid-name", "at most 63"),
    (INFERENCE, "metadata/name", "<workspace-name>", "placeholder", "name of your Workspace"),
    (INFERENCE, "metadata/name", None, "missing-field", "is missing"),
    (INFERENCE, "metadata/namespace", "My NS", "invalid-name", "namespace"),
    (INFERENCE, "metadata/labels", {"team": "a b"}, "invalid-label", "'a b'"),
    (INFERENCE, "metadata/annotations", {"a b": "c"}, "invalid-label", "'a b'"),
    (INFERENCE, "inference", None, "one-of", "neither is given"),
    (INFERENCE, "tuning", TUNING["tuning"], "one-of", "both are given"),
    (INFERENCE, "inference", {}, "one-of", "exactly one of preset and template"),
    (INFERENCE, "inference/template", TEMPLATE["inference"]["template"], "one-of", "both are given"),
    (INFERENCE, "inference/preset/name", "", "missing-field", "is empty"),
    (INFERENCE, "inference/preset/name", "<model-name>", "placeholder", "preset's name"),
    (INFERENCE, "inference/preset/presetOptions", {"image": "r/UP"}, "invalid-image", "lower case"),
    (INFERENCE, "inference/preset/presetOptions", {"imagePullSecrets": ["A_B"]}, "invalid-name", "Secret"),
    (INFERENCE, "inference/preset/presetOptions", {"imagePullSecrets": ["a", "b"]}, "one-pull-secret", "use one"),
    (INFERENCE, "inference/preset/presetOptions", {"modelAccessSecret": "A_B"}, "invalid-name", "Secret"),
    (INFERENCE, "inference/config", "My Config", "invalid-name", "ConfigMap"),
    (INFERENCE, "inference/adapters", [ADAPTER] * 2, "duplicate-adapter", "'a' stands twice"),
    (INFERENCE, "inference/adapters", [{"source": {"image": "r/a"}}], "missing-field", "is missing"),
    (INFERENCE, "inference/adapters", [{"source": {"name": "a.b", "image": "r/a"}}], "invalid-name", "at most 55"),
    (INFERENCE, "inference/adapters", [{"source": {"name": "a"}}], "adapter-source", "neither"),
    (INFERENCE, "inference/adapters", [{"source": {"name": "a", "urls": ["https://e"]}}], "adapter-source", "not for"),
    (INFERENCE, "inference/adapters", [{**ADAPTER, "strength": "1.5"}], "adapter-strength", "from 0 to 1"),
    (INFERENCE, "inference/adapters", [{**ADAPTER, "strength": "nan"}], "adapter-strength", "from 0 to 1"),
    (INFERENCE, "inference/adapters", [{**ADAPTER, "strength": 0.5}], "wrong-type", "put it in quotes"),
    (INFERENCE, "metadata/annotations", {"pulumi.kaito.sh/api-key-secret": "A_B"}, "invalid-name", "Secret"),
    (TEMPLATE, "inference/config", "c", "not-with-template", "belongs to a preset"),
    (TEMPLATE, "inference/adapters", [ADAPTER], "not-with-template", "belongs to a preset"),
    (TEMPLATE, "inference/template", {"spec": {}}, "missing-field", "container"),
    (TEMPLATE, "inference/template", {}, "missing-field", "the pod"),
    (TEMPLATE, "inference/template/containers", [], "unknown-field", "metadata, spec"),
    (TEMPLATE, "inference/template/metadata", [], "invalid-template", "mapping"),
    (TEMPLATE, "inference/template/spec/restartPolicy", "Never", "invalid-template", "'Always'"),
    (TEMPLATE, "inference/template/spec/tolerations", {}, "invalid-template", "a list"),
    (TEMPLATE, CONTAINERS, [{"name": "A", "image": "i"}], "invalid-template", "lower-case"),
    (TEMPLATE, CONTAINERS, [{"name": "a"}], "invalid-template", "image"),
    (TEMPLATE, CONTAINERS, [{"name": "a", "image": "i"}] * 2, "invalid-template", "stands twice"),
    (TEMPLATE, CONTAINERS, [{"name": "a", "image": "i", "env": [{"name": "E"}] * 2}], "invalid-template", "'E' stands"),
    (INFERENCE, "resource", None, "missing-field", "which nodes"),
    (INFERENCE, "resource/labelSelector", None, "missing-field", "which nodes"),
    (INFERENCE, "resource/labelSelector/matchLabels", {"a/b/c": "x"}, "invalid-label", "DNS name"),
    (INFERENCE, "resource/labelSelector/matchLabels", {"kaito.sh/workspace": "x"}, "reserved-label", "your own"),
    (INFERENCE, "resource/labelSelector/matchLabels", {"a": "<model-label>"}, "placeholder", "label's value"),
    (INFERENCE, "resource/instanceType", "<GPU-SKU>", "placeholder", "Azure VM size"),
    (INFERENCE, "resource/partition", {"mode": "accelerator", "count": 1}, "partition", "or instanceType"),
    (INFERENCE, "resource/count", "two", "wrong-type", "'two' must be a whole number"),
    (INFERENCE, "resource/count", 0, "wrong-type", "at least 1"),
    (EXISTING, "resource/partition", {"mode": "accelerator"}, "partition", "number of GPUs"),
    (EXISTING, "resource/partition", {"mode": "accelerator", "count": 0}, "wrong-type", "at least 1"),
    (EXISTING, "resource/partition", {"mode": "half"}, "wrong-type", "'mig' or 'accelerator'"),
    (EXISTING, "resource/partition", {"mode": "mig"}, "partition", "is missing: the MIG profile"),
    (EXISTING, "resource/partition", {"mode": "mig", "profile": "1g.99gb"}, "partition", "not a MIG profile"),
    (EXISTING, "resource/partition", {"mode": "mig", "profile": "1g.10gb", "count": 1}, "partition", "belongs to mode"),
    (OLD, "inference/preset/accessMode", "private", "missing-field", "names the image"),
    (OLD, "inference/preset/name", "microsoft/Phi-4", "v1beta1-only", "kaito.sh/v1beta1"),
    (OLD, "inference/preset/presetOptions", {"modelAccessSecret": "hf"}, "v1beta1-only", "kaito.sh/v1beta1"),
    (TUNING, "tuning/preset", None, "missing-field", "is missing"),
    (TUNING, "tuning/input", None, "missing-field", "is missing"),
    (TUNING, "tuning/output", None, "missing-field", "is missing"),
    (TUNING, "tuning/method", "full", "tuning-method", "lora or qlora"),
    (TUNING, "tuning/config", "A_B", "invalid-name", "ConfigMap"),
    (TUNING, "tuning/input", {}, "one-of", "0 are given"),
    (TUNING, "tuning/input/image", "r/a:1", "one-of", "2 are given"),
    (TUNING, "tuning/input", {"image": "r/UPPER:1"}, "invalid-image", "lower case"),
    (TUNING, "tuning/input", {"image": "r/a:1", "imagePullSecrets": ["a", "b"]}, "one-pull-secret", "use one"),
    (TUNING, "tuning/input", {"volumeSource": {}}, "invalid-volume", "exactly one kind"),
    (TUNING, "tuning/input", {"volumeSource": {"pvc": {}}}, "invalid-volume", "'pvc' is not a kind"),
    (TUNING, "tuning/input", {"volumeSource": {"persistentVolumeClaim": {}}}, "invalid-volume", "is missing"),
    (TUNING, "tuning/output", {}, "one-of", "neither is given"),
    (TUNING, "tuning/output/volumeSource", VOLUME, "one-of", "both are given"),
    (TUNING, "tuning/output/imagePushSecret", None, "missing-field", "registry's login"),
    (TUNING, "tuning/output/imagePushSecret", "Bad_Name", "invalid-name", "Secret"),
    (TUNING, "resource/count", 2, "tuning-one-node", "one node"),
    (changed(TUNING, "resource/instanceType", None), "resource/partition", {"mode": "accelerator", "count": 1},
     "partition", "does not go with tuning"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "path", "value", "code", "words"), RULES, ids=range(len(RULES)))
def test_a_broken_rule_is_one_named_error(base: dict[str, Any], path: str, value: Any, code: str, words: str) -> None:
    found = problems(changed(base, path, value))
    assert [finding.code for finding in found] == [code]
    assert words in str(found[0])


SELECTORS = [
    ([{"key": "a", "operator": "Exists"}], "0 values"),
    ([{"key": "a", "operator": "In", "values": ["x", "y"]}], "2 values"),
    ([{"key": "a", "operator": "In", "values": ["x"]}, {"key": "a", "operator": "In", "values": ["y"]}], "cannot be"),
]


@pytest.mark.parametrize(("expressions", "words"), SELECTORS)
def test_a_selector_must_become_one_value_for_each_label(expressions: Any, words: str) -> None:
    (found,) = problems(changed(INFERENCE, "resource/labelSelector", {"matchExpressions": expressions}))
    assert found.code == "selector" and words in found.message


def test_in_with_one_value_is_the_same_as_a_label() -> None:
    selector = {"matchExpressions": [{"key": "apps", "operator": "In", "values": ["phi"]}]}
    assert accepted(changed(INFERENCE, "resource/labelSelector", selector)).resource.match_labels == {"apps": "phi"}


def test_a_reserved_label_beside_others_is_left_to_the_plan() -> None:
    labels = {"apps": "phi", "kaito.sh/workspace": "x"}
    assert accepted(changed(INFERENCE, "resource/labelSelector/matchLabels", labels)).resource.match_labels == labels


def test_mig_has_a_known_profile() -> None:
    made = accepted(changed(EXISTING, "resource/partition", {"mode": "mig", "profile": "1g.10gb"}))
    assert made.resource.partition == Partition("mig", "1g.10gb")


def test_accelerator_has_no_profile() -> None:
    partition = {"mode": "accelerator", "count": 1, "profile": "1g.10gb"}
    (found,) = problems(changed(EXISTING, "resource/partition", partition))
    assert found.field == "resource.partition.profile"


def test_v1alpha1_has_no_partition() -> None:
    old = {**EXISTING, "apiVersion": "kaito.sh/v1alpha1"}
    (found,) = problems(changed(old, "resource/partition", {"mode": "accelerator", "count": 1}))
    assert found.code == "v1beta1-only"


def test_eleven_adapters_are_one_too_many() -> None:
    adapters = [{"source": {"name": f"a{number}", "image": "r/a"}} for number in range(11)]
    (found,) = problems(changed(INFERENCE, "inference/adapters", adapters))
    assert found.code == "too-many-adapters" and accepted(changed(INFERENCE, "inference/adapters", adapters[:10]))


@pytest.mark.parametrize("method", ["lora", "LoRA", "QLORA"])
def test_the_method_may_be_written_in_any_case(method: str) -> None:
    found = accepted(changed(TUNING, "tuning/method", method)).tuning
    assert found and found.method == method.lower()


def test_private_access_needs_no_image_in_v1beta1() -> None:
    options = {"modelAccessSecret": "hf"}
    private = changed(
        changed(INFERENCE, "inference/preset/accessMode", "private"), "inference/preset/presetOptions", options
    )
    assert [finding.severity for finding in accepted(private).findings] == ["warning"]


@pytest.mark.parametrize(("volume", "why"), [("emptyDir", "gone with the pod"), ("hostPath", "user 1000 can write")])
def test_an_adapter_written_to_a_volume_that_does_not_stay_is_a_warning(volume: str, why: str) -> None:
    (found,) = accepted(changed(TUNING, "tuning/output", {"volumeSource": {volume: {"path": "/d"}}})).findings
    assert found.code == "volume-lost" and why in found.message


def test_a_login_without_an_image_is_dropped_with_a_warning() -> None:
    output = {"volumeSource": VOLUME, "imagePushSecret": "push"}
    found = accepted(changed(TUNING, "tuning/output", output))
    assert [finding.code for finding in found.findings] == ["unused-field"]
    assert found.tuning and found.tuning.output.image_push_secret is None


# (annotation below kaito.sh/, its value, code of the error or None)
ANNOTATIONS = [
    ("runtime", "vllm", None), ("runtime", "VLLM", "annotation-value"), ("runtime", "tgi", "annotation-value"),
    ("enablelb", "True", None), ("enablelb", "true", "annotation-value"),
    ("node-image-family", "AzureLinux", None), ("node-image-family", "windows", "annotation-value"),
    ("performance-mode", "throughput", None), ("performance-mode", "fast", "annotation-value"),
    ("use-local-weights", "true", None), ("use-local-weights", "True", "annotation-value"),
    ("bypass-resource-checks", "", None), ("runtme", "vllm", "unknown-annotation"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "code"), ANNOTATIONS)
def test_kaitos_annotations_have_kaitos_values(key: str, value: str, code: str | None) -> None:
    document = annotated(INFERENCE, **{key: value})
    if code is None:
        assert accepted(document).findings == ()
    else:
        assert [finding.code for finding in problems(document)] == [code]


def test_a_misspelt_annotation_is_met_with_the_right_one() -> None:
    (found,) = problems(annotated(INFERENCE, runtme="vllm"))
    assert "did you mean kaito.sh/runtime?" in found.message


@pytest.mark.parametrize("key", ["disable-benchmark", "node-class-name", "model-streaming"])
def test_annotations_of_kaitos_controllers_are_warnings(key: str) -> None:
    (found,) = accepted(annotated(INFERENCE, **{key: "x"})).findings
    assert (found.severity, found.code) == ("warning", "ignored-annotation")


WEIGHTS = [
    ("huggingface", None), ("image:r.example.com/phi:1", None), ("pvc:models/phi", None), ("hostPath:/models", None),
    ("nfs:x", "annotation-value"), ("hostPath:models", "annotation-value"), ("image:R/P", "invalid-image"),
    ("pvc:A_B", "invalid-name"), ("pvc:models/../x", "annotation-value"), ("image:", "invalid-image"),
    ("pvc", "annotation-value"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "code"), WEIGHTS)
def test_our_annotation_says_where_weights_are(value: str, code: str | None) -> None:
    document = changed(INFERENCE, "metadata/annotations", {"pulumi.kaito.sh/weights": value})
    found = [] if code is None else problems(document)
    assert [finding.code for finding in found] == ([code] if code else []) and (code or accepted(document))


def test_labels_of_the_workspace_are_said_to_be_on_no_object() -> None:
    (found,) = accepted(changed(INFERENCE, "metadata/labels", {"team": "search"})).findings
    assert (found.severity, found.code) == ("info", "unused-metadata")
