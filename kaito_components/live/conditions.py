"""Whether nodes, workload and Service of a Workspace are as they should be, and in one sentence what is missing.

Used by `status`. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kaito_components.live.snapshot import (
    Goal,
    Object,
    Snapshot,
    condition,
    containers_of,
    gpus_of,
    is_going,
    is_ready,
    kind_of,
    matching,
    name_of,
    status_of,
    uid_of,
    usable,
)


@dataclass(frozen=True)
class Check:
    """`text` says what is there, or what is missing. It changes only when the situation does."""

    ok: bool
    text: str


def nodes(snapshot: Snapshot, goal: Goal) -> Check:
    """Enough nodes have joined, are Ready and offer their GPUs."""
    found = matching(snapshot.nodes, goal.node_selector)
    ready = usable(found, goal)
    counted = f"{len(ready)} of {goal.expected_nodes} nodes with {goal.nodes_text} ready"
    if len(ready) >= goal.expected_nodes:
        return Check(True, counted)
    problems = [f"{name_of(node)} {_node_problem(node, goal)}" for node in found if node not in ready]
    return Check(False, f"{counted} ({'; '.join(problems) or 'no other node carries these labels'})")


def _node_problem(node: Object, goal: Goal) -> str:
    if not is_ready(node):
        return f"is not Ready: {condition(node, 'Ready').get('reason', 'no word from its kubelet yet')}"
    return f"offers {gpus_of(node, goal)} of {goal.gpus_per_node} {goal.gpu_resource}"


def workload(snapshot: Snapshot, goal: Goal) -> Check:
    """The newest template is fully rolled out and ready: what `kubectl rollout status` waits for."""
    if not snapshot.workload:
        return Check(False, f"{goal.kind} {goal.namespace}/{goal.workspace} is not there")
    if not snapshot.is_observed:
        return Check(False, f"{goal.kind} {goal.workspace} changed just now; its controller has not seen it yet")
    status = status_of(snapshot.workload)
    wanted = int(snapshot.workload["spec"].get("replicas", 1))
    if not wanted:
        return Check(False, f"{goal.kind} {goal.workspace} has no pod: it is scaled to 0, for a tuning Job to scale up")
    deployed = _deployment if kind_of(snapshot.workload) == "Deployment" else _stateful_set
    problem = deployed(status, wanted)
    pods = "; ".join(f"pod {name_of(pod)} {pod_state(pod)}" for pod in snapshot.current_pods if not is_ready(pod))
    return Check(not problem, f"{problem}: {pods}" if problem and pods else problem or f"{wanted} pods ready")


def _deployment(status: Object, wanted: int) -> str:
    """What is missing, or nothing."""
    updated = int(status.get("updatedReplicas", 0))
    if updated < wanted:
        return f"{updated} of {wanted} pods made"
    if int(status.get("replicas", 0)) > updated:
        return f"{status['replicas'] - updated} old pods still there"
    available = int(status.get("availableReplicas", 0))
    return f"{available} of {wanted} pods ready" if available < wanted else ""


def _stateful_set(status: Object, wanted: int) -> str:
    """What is missing, or nothing."""
    if int(status.get("updatedReplicas", 0)) < wanted or status.get("currentRevision") != status.get("updateRevision"):
        return f"{status.get('updatedReplicas', 0)} of {wanted} pods made"
    ready = int(status.get("readyReplicas", 0))
    return f"{ready} of {wanted} pods ready" if ready < wanted else ""


def endpoint(snapshot: Snapshot, goal: Goal) -> Check:
    """The Service leads to a pod of the newest template that is ready."""
    pods = {uid_of(pod) for pod in snapshot.current_pods}
    entries = [
        entry for item in snapshot.endpoint_slices if not is_going(item) for entry in item.get("endpoints") or []
    ]
    ready = [entry for entry in entries if (entry.get("conditions") or {}).get("ready") is not False]
    if any((entry.get("targetRef") or {}).get("uid") in pods for entry in ready):
        return Check(True, f"Service {goal.workspace} has a ready endpoint")
    return Check(False, f"Service {goal.workspace} has no ready endpoint yet")


def started(snapshot: Snapshot, goal: Goal) -> Check:
    """The Job's pod runs: its init containers are through and every container has started."""
    if _is_complete(snapshot) or any(runs(pod) for pod in snapshot.current_pods):
        return Check(True, f"Job {goal.workspace} has started")
    if not snapshot.workload:
        return Check(False, f"Job {goal.namespace}/{goal.workspace} is not there")
    pods = "; ".join(f"pod {name_of(pod)} {pod_state(pod)}" for pod in snapshot.current_pods)
    return Check(False, f"Job {goal.workspace} has not started: {pods or 'it has no pod yet'}")


def completed(snapshot: Snapshot, goal: Goal) -> Check:
    """The Job is through."""
    if _is_complete(snapshot):
        return Check(True, f"Job {goal.workspace} is complete")
    begun = started(snapshot, goal)
    return Check(False, f"Job {goal.workspace} is not complete yet" if begun.ok else begun.text)


def _is_complete(snapshot: Snapshot) -> bool:
    return condition(snapshot.workload or {}, "Complete").get("status") == "True"


def runs(pod: Object) -> bool:
    """Whether it runs, or has run to its end: the Job is complete only some moments after its pod."""
    phase = status_of(pod).get("phase")
    if phase != "Running":
        return bool(phase == "Succeeded")
    return all(_has_begun(container.get("state") or {}) for container in status_of(pod).get("containerStatuses") or [])


def _has_begun(state: Mapping[str, Object]) -> bool:
    return "running" in state or state.get("terminated", {}).get("exitCode") == 0


BEING_CREATED = "gets its images and volumes"


def pod_state(pod: Object) -> str:
    """Where a pod is on its way to Ready, in a few words."""
    status = status_of(pod)
    if condition(pod, "PodScheduled").get("status") == "False":
        return "waits for a node"
    if status.get("phase") in {"Failed", "Succeeded"}:
        return str(status["phase"]).lower()
    for container in status.get("initContainerStatuses") or []:
        if "running" in (container.get("state") or {}) and condition(pod, "Initialized").get("status") == "False":
            return f"runs its init container {container['name']}"
    problems = (_container_state(container) for container in containers_of(pod))
    waiting = "runs, but is not ready yet" if containers_of(pod) else "is being started"
    return next((problem for problem in problems if problem), waiting)


def _container_state(container: Object) -> str:
    """What keeps the container from being ready; nothing if it is through, or runs."""
    state, name = container.get("state") or {}, container["name"]
    if waiting := state.get("waiting"):
        creating = waiting.get("reason") in {"ContainerCreating", "PodInitializing", None}
        return BEING_CREATED if creating else f"container {name}: {waiting['reason']}"
    if (ended := state.get("terminated")) and ended.get("exitCode"):
        return f"container {name} ended with exit code {ended['exitCode']}"
    return ""
