"""InferenceSets: read as KAITO writes them, with the rules of a Workspace for their template."""

from typing import Any

import pytest

from kaito_components.spec import read_documents
from kaito_components.spec.model import Bundle
from tests.unit.spec.workspaces import INFERENCE, changed, problems

SET: dict[str, Any] = {
    "apiVersion": "kaito.sh/v1beta1",
    "kind": "InferenceSet",
    "metadata": {"name": "phi", "namespace": "ml"},
    "spec": {
        "replicas": 3,
        "labelSelector": {"matchLabels": {"apps": "phi"}},
        "template": {
            "resource": {"instanceType": "Standard_NC24ads_A100_v4"},
            "inference": {"preset": {"name": "phi-4-mini-instruct"}},
        },
    },
}
ANNOTATIONS = "spec/template/metadata/annotations"


def read(document: Any) -> Bundle:
    return read_documents([document])


def test_a_set_becomes_numbered_workspaces() -> None:
    found = read(SET).workspaces
    assert [(one.namespace, one.name, one.inference_set) for one in found] == [
        ("ml", f"phi-{n}", "phi") for n in range(3)
    ]
    assert {one.resource.instance_type for one in found} == {"Standard_NC24ads_A100_v4"}
    assert {one.resource.match_labels["apps"] for one in found} == {"phi"}


def test_without_replicas_there_is_one_and_zero_is_none() -> None:
    assert len(read(changed(SET, "spec/replicas", None)).workspaces) == 1
    empty = read(changed(SET, "spec/replicas", 0))
    assert empty.workspaces == () and [one.name for one in empty.inference_sets] == ["phi"]


BROKEN: list[tuple[str, Any, str, str]] = [
    ("spec/replicas", -1, "wrong-type", "spec.replicas"),
    ("spec/replica", 2, "unknown-field", "spec.replica"),
    ("spec/template/tuning", {}, "unknown-field", "spec.template.tuning"),
    ("spec/template/resource/count", 2, "unknown-field", "spec.template.resource.count"),
    ("spec/template/inference", None, "missing-field", "spec.template.inference"),
    ("spec/template/inference", {}, "one-of", "spec.template.inference"),
    ("spec/labelSelector", {"matchLabels": {"a b": "c"}}, "invalid-label", "spec.labelSelector.matchLabels"),
    (ANNOTATIONS, {"kaito.sh/runtime": "x"}, "annotation-value", "spec.template.metadata.annotations"),
    ("spec/autoUpgrade", {"enabled": True}, "unsupported-field", "spec.autoUpgrade.enabled"),
    ("metadata/name", "Phi", "invalid-name", "metadata.name"),
]


@pytest.mark.parametrize(("path", "value", "code", "field"), BROKEN)
def test_a_broken_rule_is_one_error_that_names_the_field_of_the_set(
    path: str, value: Any, code: str, field: str
) -> None:
    (found,) = problems(changed(SET, path, value))
    assert found.code == code and found.field.startswith(field)


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("spec/nodeCountLimit", 5, "unused-field"),
        ("spec/updateStrategy", {"type": "RollingUpdate"}, "unused-field"),
        ("metadata/annotations", {"kaito.sh/runtime": "vllm"}, "ignored-annotation"),
        ("metadata/annotations", {"scaledobject.kaito.sh/auto-provision": "true"}, "ignored-annotation"),
    ],
)
def test_what_decides_nothing_is_said_once(path: str, value: Any, code: str) -> None:
    first, *others = read(changed(SET, path, value)).workspaces
    assert [found.code for found in first.findings] == [code] and not any(one.findings for one in others)


@pytest.mark.parametrize("name", ["phi", "phi-1"])
def test_a_workspace_may_not_have_the_name_of_a_set_or_of_a_replica(name: str) -> None:
    other = changed(changed(INFERENCE, "metadata/name", name), "metadata/namespace", "ml")
    with pytest.raises(Exception, match=f"'{name}' is the name of another Workspace"):
        read_documents([SET, other])
