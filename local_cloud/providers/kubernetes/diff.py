"""What a change of inputs means: which paths differ, and which only a new object can have. Pure; called by provider.

Source of the replace rules: pulumi-kubernetes provider/pkg/provider/diff.go (forceNewProperties), and
the fields that Kubernetes itself never changes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

ALWAYS = (r"apiVersion", r"kind", r"metadata\.name", r"metadata\.namespace")
REPLACE: dict[str, tuple[str, ...]] = {
    "Deployment": (r"spec\.selector\b.*",),
    "DaemonSet": (r"spec\.selector\b.*",),
    "ReplicaSet": (r"spec\.selector\b.*",),
    "StatefulSet": (
        r"spec\.selector\b.*", r"spec\.serviceName", r"spec\.podManagementPolicy", r"spec\.volumeClaimTemplates\b.*",
    ),
    "Job": (
        r"spec\.selector\b.*", r"spec\.template\b.*", r"spec\.completions", r"spec\.completionMode",
        r"spec\.podFailurePolicy\b.*", r"spec\.manualSelector", r"spec\.backoffLimitPerIndex",
    ),
    "Service": (r"spec\.clusterIP", r"spec\.clusterIPs\b.*"),
    "PersistentVolumeClaim": (
        r"spec\.accessModes\b.*", r"spec\.selector\b.*", r"spec\.storageClassName", r"spec\.volumeName",
        r"spec\.volumeMode", r"spec\.dataSource\b.*",
    ),
    "Pod": (r"spec\.(?!containers\[\d+\]\.image$|initContainers\[\d+\]\.image$|activeDeadlineSeconds$|tolerations).*",),
    "Secret": (r"type",),
}  # fmt: skip
CONTENT = {"ConfigMap": (r"(data|binaryData)\b.*",), "Secret": (r"(data|stringData)\b.*",)}  # unless declared mutable


def changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, add | update | delete) of every difference, as deep as both sides go."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            below = _join(path, key)
            if key not in new:
                yield below, "delete"
            elif key not in old:
                yield below, "add"
            else:
                yield from changes(old[key], new[key], below)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            below = f"{path}[{index}]"
            if index >= len(new):
                yield below, "delete"
            elif index >= len(old):
                yield below, "add"
            else:
                yield from changes(old[index], new[index], below)
    elif type(old) is not type(new) or old != new:
        yield path, "update"


def _join(path: str, key: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def replaces(kind: str, path: str, mutable: frozenset[str]) -> bool:
    """Whether a change at `path` needs a new object. `mutable`: kinds whose content the user lets change in place."""
    rules = ALWAYS + REPLACE.get(kind, ()) + (() if kind in mutable else CONTENT.get(kind, ()))
    return any(re.fullmatch(rule, path) for rule in rules)


def project(live: Any, like: Any) -> Any:
    """What the live object says where `like` says something: server-filled fields fall away, drift stays.

    The server drops what is empty: that is no drift.
    """
    if isinstance(live, dict) and isinstance(like, dict):
        kept = {key: project(live[key], like[key]) for key in like if key in live}
        return kept | {key: value for key, value in like.items() if key not in live and value in ({}, [], None)}
    if isinstance(live, list) and isinstance(like, list):
        return [project(one, like[i]) if i < len(like) else one for i, one in enumerate(live)]
    return live


def leave_out(manifest: dict[str, Any], ignored: Iterable[str], live: dict[str, Any] | None, manager: str) -> None:
    """Takes the fields of `ignoreChanges` out of what is applied where somebody else has set them since.

    Source: pulumi-kubernetes provider/pkg/await/await.go (pull request 2566).
    """
    entries = ((live or {}).get("metadata") or {}).get("managedFields") or []
    others = [entry["fieldsV1"] for entry in entries if entry["manager"] != manager and "fieldsV1" in entry]
    for path in ignored:
        keys = path.split(".")
        if any(_at(fields, [f"f:{key}" for key in keys]) is not None for fields in others):
            (_at(manifest, keys[:-1]) or {}).pop(keys[-1], None)


def _at(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
