"""Workspaces of a namespace, or of all, as rows and warnings. Pure but for `fetched`; used by `status` and `events`."""

from collections.abc import Callable, Iterable

from kaito_components.live.cluster import Cluster, Query
from kaito_components.live.snapshot import Object, Snapshot, goal_of, labels_of, matching, name_of
from kaito_components.live.status import StatusRow, row, together
from kaito_components.names import INFERENCE_SET_LABEL, WORKSPACE_LABEL

SERVICE_LABEL = "kubernetes.io/service-name"
Collections = Callable[[str], Iterable[Object]]  # the objects of a collection of `queries`, by its name
WORKLOADS = ("deployments", "statefulsets", "jobs")


def queries(namespace: str | None) -> dict[str, Query]:
    """Everything that tells how Workspaces are; None: of all namespaces."""
    inside = f"/namespaces/{namespace}" if namespace else ""
    return {
        "nodes": Query("/api/v1/nodes", "Node"),
        "deployments": Query(f"/apis/apps/v1{inside}/deployments", "Deployment", labels=WORKSPACE_LABEL),
        "statefulsets": Query(f"/apis/apps/v1{inside}/statefulsets", "StatefulSet", labels=WORKSPACE_LABEL),
        "jobs": Query(f"/apis/batch/v1{inside}/jobs", "Job", labels=WORKSPACE_LABEL),
        "replicasets": Query(f"/apis/apps/v1{inside}/replicasets", "ReplicaSet", labels=WORKSPACE_LABEL),
        "pods": Query(f"/api/v1{inside}/pods", "Pod", labels=WORKSPACE_LABEL),
        "slices": Query(f"/apis/discovery.k8s.io/v1{inside}/endpointslices", "EndpointSlice", labels=WORKSPACE_LABEL),
        "events": Query(f"/api/v1{inside}/events", "Event", fields="type=Warning"),
    }


def fetched(cluster: Cluster, namespace: str | None) -> Collections:
    """Everything of `queries` as it is now. Raises ClusterError."""
    seen = {name: cluster.get(query).items for name, query in queries(namespace).items()}
    return seen.__getitem__


def rows(objects: Collections, wanted: Iterable[str] = ()) -> list[StatusRow]:
    """A row for each Workspace, by namespace and name.

    Args:
        objects: the collection of that name, see `queries`.
        wanted: names of Workspaces, and of InferenceSets for all of their replicas; none: all.
    """
    made: dict[tuple[str, str], StatusRow] = {}
    for workload in _workloads(objects, wanted):  # Jobs come last
        one = row(_snapshot(workload, objects), goal_of(workload))
        server = made.get((one.namespace, one.name))
        made[one.namespace, one.name] = together(one, server) if server else one
    return [made[key] for key in sorted(made)]


def warnings(objects: Collections, wanted: Iterable[str] = ()) -> list[tuple[str, Object]]:
    """(Workspace, event) of every warning about its workload, its pods and its nodes; the newest last."""
    found: dict[str, tuple[str, Object]] = {}
    for workload in _workloads(objects, wanted):
        seen = _snapshot(workload, objects)
        nodes = matching(seen.nodes, goal_of(workload).node_selector)
        for event in seen.events_of(workload, *seen.replica_sets, *seen.pods, *nodes):
            found[event["metadata"]["uid"]] = labels_of(workload)[WORKSPACE_LABEL], event
    return sorted(found.values(), key=lambda one: str(one[1].get("lastTimestamp") or one[1].get("eventTime") or ""))


def _workloads(objects: Collections, wanted: Iterable[str]) -> list[Object]:
    """Those of the Workspaces that are asked for."""
    names = set(wanted)
    workloads = [workload for kind in WORKLOADS for workload in objects(kind)]
    return [workload for workload in workloads if not names or names & _called(workload)]


def _called(workload: Object) -> set[str]:
    """What one may call its Workspace: by its name, or by that of its InferenceSet."""
    labels = labels_of(workload)
    return {labels[WORKSPACE_LABEL], labels.get(INFERENCE_SET_LABEL, labels[WORKSPACE_LABEL])}


def _snapshot(workload: Object, objects: Collections) -> Snapshot:
    namespace, workspace = workload["metadata"]["namespace"], labels_of(workload)[WORKSPACE_LABEL]

    def own(name: str) -> tuple[Object, ...]:
        inside = [item for item in objects(name) if item["metadata"]["namespace"] == namespace]
        return tuple(item for item in inside if labels_of(item).get(WORKSPACE_LABEL) == workspace)

    return Snapshot(
        workload=workload,
        replica_sets=own("replicasets"),
        pods=own("pods"),
        nodes=tuple(objects("nodes")),
        events=tuple(event for event in objects("events") if event["metadata"]["namespace"] == namespace),
        endpoint_slices=tuple(one for one in own("slices") if labels_of(one).get(SERVICE_LABEL) == name_of(workload)),
    )
