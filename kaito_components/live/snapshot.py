"""What a cluster says about one Workspace at one moment, and which of it counts.

`cluster` and `watching` fill a `Snapshot` with plain Kubernetes dicts; `conditions`, `diagnosis` and `status` read it.
Pure: no client, no clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kaito_components import names
from kaito_components.plan.types import Until

Object = Mapping[str, Any]
Kind = Literal["Deployment", "StatefulSet", "Job"]

REVISION = "deployment.kubernetes.io/revision"
POD_REVISION = "controller-revision-hash"
AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True)
class Goal:
    """What the cluster shall show of a Workspace before it counts as up."""

    namespace: str
    workspace: str
    kind: Kind
    node_selector: Mapping[str, str]
    expected_nodes: int
    gpus_per_node: int
    gpu_resource: str = names.GPU_RESOURCE
    instance: str = ""
    until: Until = "ready"
    may_grow: bool = False  # more nodes come for a pod that finds no place

    @property
    def is_tuning(self) -> bool:
        return self.kind == "Job"

    @property
    def nodes_text(self) -> str:
        """The selector as `kubectl get nodes -l` takes it."""
        return names.label_selector(self.node_selector) or "any label"


@dataclass(frozen=True)
class Snapshot:
    """Kubernetes objects as dicts, with `kind`. `events` need only hold warnings."""

    workload: Object | None = None  # the Deployment, StatefulSet or Job
    replica_sets: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    nodes: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    endpoint_slices: tuple[Object, ...] = ()  # of the Workspace's Service

    @property
    def is_observed(self) -> bool:
        """Whether the controller has seen the workload as it is now."""
        if not self.workload:
            return False
        generation = int(self.workload["metadata"].get("generation", 0))
        return (
            kind_of(self.workload) == "Job" or int(status_of(self.workload).get("observedGeneration", 0)) >= generation
        )

    @property
    def current_pods(self) -> tuple[Object, ...]:
        """The pods of the workload's newest template that are not being deleted."""
        return tuple(pod for pod in self.pods if not is_going(pod) and self._is_current(pod))

    @property
    def leaving_pods(self) -> tuple[Object, ...]:
        """Pods that are being deleted and may still hold GPUs."""
        return tuple(pod for pod in self.pods if is_going(pod))

    @property
    def owner(self) -> Object | None:
        """What owns the current pods: the workload, or the newest ReplicaSet of a Deployment."""
        if not self.workload or kind_of(self.workload) != "Deployment":
            return self.workload
        owned = [replica_set for replica_set in self.replica_sets if is_owned_by(replica_set, self.workload)]
        return max(owned, key=_revision, default=None)

    def events_of(self, *objects: Object | None) -> Iterator[Object]:
        """Warnings about any of the objects, newest first."""
        uids = {uid_of(item) for item in objects if item}
        about = [event for event in self.events if event.get("involvedObject", {}).get("uid") in uids]
        return iter(sorted(about, key=_last_seen, reverse=True))

    def _is_current(self, pod: Object) -> bool:
        owner = self.owner
        if not self.is_observed or not owner or not is_owned_by(pod, owner):
            return False
        if kind_of(owner) != "StatefulSet":
            return True
        return bool(labels_of(pod).get(POD_REVISION) == status_of(owner).get("updateRevision"))


def goal_of(workload: Object) -> Goal:
    """The goal that a workload made by this package carries in its labels, annotations and pod template."""
    metadata, pod = workload["metadata"], workload["spec"]["template"]["spec"]
    annotations = metadata.get("annotations") or {}
    kind = kind_of(workload)
    return Goal(
        namespace=metadata["namespace"],
        workspace=labels_of(workload)[names.WORKSPACE_LABEL],
        kind=kind,
        node_selector=_node_selector(pod),
        expected_nodes=int(annotations.get(names.NODE_COUNT_ANNOTATION, 1)),
        **_asked_gpus(pod),
        instance=annotations.get(names.INSTANCE_TYPE_ANNOTATION, ""),
        until="completed" if kind == "Job" else "ready",
    )


def _asked_gpus(pod: Object) -> dict[str, Any]:
    """What the containers of a pod ask for together; slices of one MIG profile are named as such."""
    limits = [container.get("resources", {}).get("limits") or {} for container in pod["containers"]]
    slices = sorted(
        {name for limit in limits for name in limit if name.startswith(names.MIG_RESOURCE.partition("{")[0])}
    )
    resource = slices[0] if slices else names.GPU_RESOURCE
    return {"gpu_resource": resource, "gpus_per_node": sum(_amount(limit, resource) for limit in limits)}


def _node_selector(pod: Object) -> dict[str, str]:
    """What a node must carry: the pod's nodeSelector, and its required affinity as far as it says `key In [value]`."""
    selector = dict(pod.get("nodeSelector") or {})
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get(AFFINITY) or {}).get("nodeSelectorTerms") or []
    if len(terms) == 1:
        for expression in terms[0].get("matchExpressions") or []:
            if expression["operator"] == "In" and len(expression["values"]) == 1:
                selector[expression["key"]] = expression["values"][0]
    return selector


def matching(nodes: Iterable[Object], selector: Mapping[str, str]) -> tuple[Object, ...]:
    """The nodes that carry all labels of the selector and are not being deleted."""
    return tuple(node for node in nodes if not is_going(node) and selector.items() <= labels_of(node).items())


def is_ready(item: Object) -> bool:
    """Whether a node or pod has the condition Ready."""
    return bool(condition(item, "Ready").get("status") == "True")


def gpus_of(node: Object, goal: Goal) -> int:
    """GPUs, or slices, that pods may have."""
    return _amount(status_of(node).get("allocatable"), goal.gpu_resource)


def usable(nodes: Iterable[Object], goal: Goal) -> tuple[Object, ...]:
    """The nodes that are Ready and offer enough GPUs."""
    return tuple(node for node in nodes if is_ready(node) and gpus_of(node, goal) >= goal.gpus_per_node)


def condition(item: Object, kind: str) -> Object:
    """The status condition of that type, or an empty one."""
    found = (entry for entry in status_of(item).get("conditions") or [] if entry["type"] == kind)
    return next(found, {})


def containers_of(pod: Object) -> list[Object]:
    """Status of each container, init containers first, in the order of their start."""
    status = status_of(pod)
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def kind_of(workload: Object) -> Kind:
    """The kind. The API leaves it out of the items of a list; `cluster` puts it back."""
    kind: Kind = workload["kind"]
    return kind


def name_of(item: Object) -> str:
    return str(item["metadata"]["name"])


def uid_of(item: Object) -> str:
    return str(item["metadata"].get("uid", ""))


def labels_of(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def status_of(item: Object) -> Object:
    return item.get("status") or {}


def is_going(item: Object) -> bool:
    """Whether the object is being deleted."""
    return bool(item["metadata"].get("deletionTimestamp"))


def is_owned_by(item: Object, owner: Object) -> bool:
    return any(reference["uid"] == uid_of(owner) for reference in item["metadata"].get("ownerReferences") or [])


def _amount(amounts: Mapping[str, Any] | None, resource: str) -> int:
    return int((amounts or {}).get(resource, 0))


def _revision(replica_set: Object) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, 0))


def _last_seen(event: Object) -> str:
    series = event.get("series") or {}
    moments = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((moment for moment in moments if moment), event["metadata"].get("creationTimestamp") or ""))
