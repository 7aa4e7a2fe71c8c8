"""Whether a namespace takes a Workspace's pods, by its Pod Security label. Called by `readiness` at preview.

Without it, nodes would be made and paid for before the API server refuses the first pod.
"""

from collections.abc import Mapping
from typing import Any

from kaito_components.live.cluster import Cluster, Query
from kaito_components.manifests.pod_security import LEVELS

ENFORCED = "pod-security.kubernetes.io/enforce"


def refused_pods(cluster: Cluster, props: Mapping[str, Any]) -> str:
    """Why its pods would be refused and what to do, or nothing. Raises ClusterError if the cluster cannot be asked."""
    namespace, need = props["namespace"], props["pods_need"]
    found = cluster.get(Query("/api/v1/namespaces", "Namespace", fields=f"metadata.name={namespace}")).items
    enforced = next(((one["metadata"].get("labels") or {}).get(ENFORCED) for one in found), None)
    return refusal(namespace, enforced, need["level"], need["because"])


def refusal(namespace: str, enforced: str | None, needed: str, because: str) -> str:
    """The same for a label that is known. Pure."""
    if enforced not in LEVELS or LEVELS.index(enforced) >= LEVELS.index(needed):
        return ""
    return (
        f"namespace {namespace} takes no pod that is not {enforced} ({ENFORCED}), and this Workspace needs {needed}: "
        f"{because}. Use a namespace that allows it, or what needs less (docs/security.md)"
    )
