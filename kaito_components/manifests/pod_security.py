"""Which Pod Security Standard a Workspace's pods need of their namespace, and because of what. Called by workspace.

Ours need `restricted` but for the cases of docs/security.md. Pods of a template are the user's and may need more than
is seen here; the API server has the last word.
Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LEVELS = ("restricted", "baseline", "privileged")  # the strictest first
RESTRICTED_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)


def needed(manifests: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """`level`, and `because`: the part of a pod that needs it; nothing needs `restricted`."""
    found = [("restricted", "")]
    for manifest in manifests:
        if "template" in manifest.get("spec", {}):
            found += _of_pod(manifest["spec"]["template"]["spec"])
    level, because = max(found, key=lambda one: LEVELS.index(one[0]))
    return {"level": level, "because": because}


def _of_pod(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for volume in pod.get("volumes") or ():
        if other := sorted(set(volume) - {"name"} - RESTRICTED_VOLUMES):
            level = "privileged" if other[0] == "hostPath" else "baseline"
            yield level, f"volume {volume['name']} is of the kind {other[0]}"
    common = pod.get("securityContext") or {}
    for one in [*(pod.get("initContainers") or ()), *pod["containers"]]:
        if {**common, **(one.get("securityContext") or {})}.get("runAsNonRoot") is not True:
            yield "baseline", f"container {one['name']} may run as root"
