"""Which changes need a new object, as the real provider has it.

Source of the rows: pulumi-kubernetes provider/pkg/provider/diff.go, and the API server's own immutable fields.
"""

from typing import Any

import pytest

from local_cloud.providers.kubernetes.diff import changes, project, replaces

NEW = [
    ("Deployment", "metadata.name"),
    ("Deployment", "metadata.namespace"),
    ("Deployment", "spec.selector.matchLabels.app"),
    ("StatefulSet", "spec.serviceName"),
    ("StatefulSet", "spec.volumeClaimTemplates[0].spec.storageClassName"),
    ("Job", "spec.template.spec.containers[0].image"),
    ("Job", "spec.completions"),
    ("Service", "spec.clusterIP"),
    ("PersistentVolumeClaim", "spec.storageClassName"),
    ("Pod", "spec.nodeName"),
    ("ConfigMap", "data.key"),
    ("Secret", 'stringData[".dockerconfigjson"]'),
    ("Secret", "type"),
]
SAME = [
    ("Deployment", "spec.template.spec.containers[0].image"),
    ("Deployment", "spec.replicas"),
    ("Deployment", "metadata.labels.app"),
    ("Job", "spec.backoffLimit"),
    ("Service", "spec.ports[0].port"),
    ("PersistentVolumeClaim", "spec.resources.requests.storage"),
    ("Pod", "spec.containers[0].image"),
]


@pytest.mark.parametrize(("kind", "path"), NEW)
def test_this_change_needs_a_new_object(kind: str, path: str) -> None:
    assert replaces(kind, path, frozenset())


@pytest.mark.parametrize(("kind", "path"), SAME)
def test_this_change_is_made_in_place(kind: str, path: str) -> None:
    assert not replaces(kind, path, frozenset())


def test_content_that_the_user_declared_mutable_changes_in_place() -> None:
    assert not replaces("ConfigMap", "data.key", frozenset({"ConfigMap"}))
    assert replaces("Secret", "data.key", frozenset({"ConfigMap"}))


def test_each_difference_is_named_by_its_path() -> None:
    old: dict[str, Any] = {"a": {"b": [1, 2]}, "gone": 1, "x.y/z": "1"}
    new: dict[str, Any] = {"a": {"b": [1, 3, 4]}, "x.y/z": "2", "new": True}
    assert sorted(changes(old, new)) == [
        ('["x.y/z"]', "update"),
        ("a.b[1]", "update"),
        ("a.b[2]", "add"),
        ("gone", "delete"),
        ("new", "add"),
    ]


def test_drift_shows_and_what_the_server_fills_in_does_not() -> None:
    live = {"spec": {"replicas": 0, "strategy": {"type": "RollingUpdate"}}, "status": {}}
    assert project(live, {"spec": {"replicas": 1, "env": []}}) == {"spec": {"replicas": 0, "env": []}}
