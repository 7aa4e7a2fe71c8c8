"""The pods of a Workspace: which one answers, and which one's log is meant. Called by chat and logs."""

from typing import TYPE_CHECKING

from kaito_components.errors import ClusterError
from kaito_components.live.snapshot import Object, is_going, is_ready, labels_of, name_of, status_of
from kaito_components.names import WORKSPACE_LABEL

if TYPE_CHECKING:
    from kaito_components.live.cluster import Cluster

JOB_LABEL = "batch.kubernetes.io/job-name"


def serving_pod(cluster: "Cluster", namespace: str, workspace: str) -> str:
    """The name of a pod that answers.

    Raises:
        ClusterError: there is no such Workspace, or none of its pods is ready.
    """
    servers = [one for one in _pods(cluster, namespace, workspace) if JOB_LABEL not in labels_of(one)]
    ready = [one for one in servers if is_ready(one) and not is_going(one)]
    if not ready:
        raise ClusterError(
            f"no pod of Workspace {namespace}/{workspace} is ready to answer; see kaito status and events"
        )
    return name_of(ready[0])


def newest_pod(cluster: "Cluster", namespace: str, workspace: str, tuning: bool | None) -> tuple[str, str]:
    """(pod, container) whose log is worth reading: the newest one of the Job, of the server, or (None) of both.

    Raises:
        ClusterError: there is none.
    """
    pods = _pods(cluster, namespace, workspace)
    found = [one for one in pods if tuning is None or (JOB_LABEL in labels_of(one)) == tuning]
    if not found:
        raise ClusterError(
            f"Workspace {namespace}/{workspace} has no {'tuning Job' if tuning else 'server'} with a pod"
        )
    pod = max(found, key=lambda one: str(one["metadata"].get("creationTimestamp")))
    return name_of(pod), _container(pod)


def _container(pod: Object) -> str:
    """The init container that has not ended well, else the first container."""
    for status in status_of(pod).get("initContainerStatuses") or []:
        ended = (status.get("state") or {}).get("terminated")
        if not ended or ended.get("exitCode"):
            return str(status["name"])
    return str(pod["spec"]["containers"][0]["name"])


def _pods(cluster: "Cluster", namespace: str, workspace: str) -> list[Object]:
    from kaito_components.live.cluster import Query

    query = Query(f"/api/v1/namespaces/{namespace}/pods", "Pod", labels=f"{WORKSPACE_LABEL}={workspace}")
    found = cluster.get(query).items
    if not found:
        raise ClusterError(f"Workspace {workspace!r} has no pod in namespace {namespace}; see kaito status")
    return found
