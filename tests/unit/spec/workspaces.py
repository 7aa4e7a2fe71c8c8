"""Workspaces that the tests of this folder break, one field at a time."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.spec import read_documents, read_files
from kaito_components.spec.model import Workspace

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
        "method": "qlora",
        "input": {"urls": ["https://example.com/a.parquet"]},
        "output": {"image": "r.example.com/out:1", "imagePushSecret": "push"},
    },
}
CONTAINER = {"name": "server", "image": "r.example.com/server:1"}
TEMPLATE: dict[str, Any] = {
    **{key: INFERENCE[key] for key in ("apiVersion", "kind", "metadata", "resource")},
    "inference": {"template": {"spec": {"containers": [CONTAINER]}}},
}
EXISTING: dict[str, Any] = {**INFERENCE, "resource": {"labelSelector": {"matchLabels": {"apps": "phi"}}}}
OLD: dict[str, Any] = {**INFERENCE, "apiVersion": "kaito.sh/v1alpha1"}


def changed(base: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `base` with the field at `path` set, or taken away where value is None."""
    copied = copy.deepcopy(dict(base))
    *parents, last = path.split("/")
    place = copied
    for parent in parents:
        place = place.setdefault(parent, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copied


def annotated(base: Mapping[str, Any], **annotations: str) -> dict[str, Any]:
    """A copy with annotations of kaito.sh: `runtime="vllm"`."""
    named = {f"kaito.sh/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return changed(base, "metadata/annotations", named)


def config_map(text: str, key: str = "training_config.yaml", **metadata: Any) -> dict[str, Any]:
    """The ConfigMap `c`."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}, "data": {key: text}}


def secret(name: str = "push", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}


def accepted(*documents: Any) -> Workspace:
    """The first Workspace of documents that break no rule."""
    return read_documents(documents).workspaces[0]


def problems(*documents: Any) -> list[Finding]:
    """What is wrong with documents that break a rule."""
    with pytest.raises(InvalidWorkspace) as refused:
        read_documents(documents)
    return list(refused.value.findings)


def problems_of_text(folder: Path, text: str) -> list[Finding]:
    """What is wrong with a file."""
    (folder / "w.yaml").write_text(text)
    with pytest.raises(InvalidWorkspace) as refused:
        read_files([folder / "w.yaml"])
    return list(refused.value.findings)
