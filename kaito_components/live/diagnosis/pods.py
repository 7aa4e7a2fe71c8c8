"""What can be wrong with a pod: no node for it, missing volumes, containers that do not run, no readiness."""

from collections.abc import Iterator

from kaito_components import names
from kaito_components.live import conditions
from kaito_components.live.diagnosis.containers import container_trouble
from kaito_components.live.diagnosis.nodes import SECONDS_TO_JOIN
from kaito_components.live.diagnosis.trouble import Trouble, short
from kaito_components.live.snapshot import Goal, Object, Snapshot, condition, is_ready, name_of, status_of

SECONDS_FOR_SCHEDULING = 30  # once all nodes are there; the scheduler tries again after 10 s at the latest
SECONDS_FOR_CLAIM = 30
SECONDS_FOR_VOLUME = 120  # a disk that is provisioned or attached
SECONDS_FOR_MOUNT = 30  # the kubelet has tried several times

WAYS_OUT = {
    "Insufficient nvidia.com/gpu": "Other pods hold the GPUs; end them or add nodes: kubectl describe nodes -l {nodes}",
    "Insufficient": "Choose a larger VM size, or end other pods on these nodes: kubectl describe nodes -l {nodes}",
    "untolerated taint": "Remove the taint, or tolerate it in the pod template: kubectl describe nodes -l {nodes}",
    "node affinity": "Label the nodes as the Workspace's labelSelector asks",
}
GROWING = (
    "The pool grows for it, unless quota or capacity keep it from growing: kubectl get events, az aks nodepool list"
)
HANDED_OVER = "{job} may hold what it needs: it serves what the Job tunes when that is through"


def pod_troubles(pod: Object, snapshot: Snapshot, goal: Goal) -> Iterator[Trouble]:
    """What is wrong with a pod of the newest template."""
    status = status_of(pod)
    if condition(pod, "PodScheduled").get("reason") == "Unschedulable":
        yield _unschedulable(pod, snapshot, goal)
    failed_pull = next(
        (e["message"] for e in snapshot.events_of(pod) if e.get("message", "").startswith("Failed to pull")), ""
    )
    for word, field in (("init container", "initContainerStatuses"), ("container", "containerStatuses")):
        for container in status.get(field) or []:
            if trouble := container_trouble(pod, container, word, failed_pull):
                yield trouble
    if conditions.pod_state(pod) == conditions.BEING_CREATED:
        yield from _volumes(pod, snapshot)
    if status.get("phase") == "Running" and not is_ready(pod) and not goal.is_tuning:
        yield from _unready(pod, snapshot)


def _unschedulable(pod: Object, snapshot: Snapshot, goal: Goal) -> Trouble:
    words, where = condition(pod, "PodScheduled").get("message", ""), _where(pod)
    if "persistentvolumeclaim" in words.lower():
        return _claim(pod, snapshot, words)
    settled = conditions.nodes(snapshot, goal).ok and not snapshot.leaving_pods
    seconds = SECONDS_TO_JOIN if goal.may_grow else SECONDS_FOR_SCHEDULING
    grace = seconds if settled else None
    way_out = _way_out(words, snapshot.workload or {}, goal)
    said = short(words.split(" preemption: ")[0].replace(" no new claims to deallocate,", ""))
    return Trouble(where, "Unschedulable", f"the scheduler finds no node for it: {said}", way_out, grace)


def _way_out(words: str, workload: Object, goal: Goal) -> str:
    """What may give the pod a place."""
    lacks = "Insufficient" in words
    if lacks and goal.may_grow:
        return GROWING
    if lacks and (job := (workload["metadata"].get("annotations") or {}).get(names.SCALED_BY_ANNOTATION)):
        return HANDED_OVER.format(job=job)
    fitting = (text for sign, text in WAYS_OUT.items() if sign in words)
    return next(fitting, "See kubectl describe nodes -l {nodes}").format(nodes=goal.nodes_text)


def _claim(pod: Object, snapshot: Snapshot, words: str) -> Trouble:
    """A claim that is missing, or has no volume."""
    claims = {
        (volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in pod["spec"].get("volumes") or []
    }
    about = [e for e in snapshot.events if e["involvedObject"].get("kind") == "PersistentVolumeClaim"]
    said = next((f" ({short(e['message'])})" for e in reversed(about) if e["involvedObject"].get("name") in claims), "")
    missing = "not found" in words
    way_out = (
        f"Create it in namespace {pod['metadata']['namespace']}, or correct its name in the Workspace"
        if missing
        else "Check its storage class and size: kubectl describe pvc -n " + pod["metadata"]["namespace"]
    )
    grace = SECONDS_FOR_CLAIM if missing else SECONDS_FOR_VOLUME
    return Trouble(_where(pod), "VolumeNotBound", f"{short(words)}{said}", way_out, grace)


def _volumes(pod: Object, snapshot: Snapshot) -> Iterator[Trouble]:
    """Mounts that fail while no container has begun; later they are history."""
    for event in snapshot.events_of(pod):
        if event.get("reason") in {"FailedMount", "FailedAttachVolume"}:
            words = event.get("message", "")
            missing = "not found" in words
            way_out = (
                f"Create it in namespace {pod['metadata']['namespace']}, or correct its name in the Workspace"
                if missing
                else "Check the volume: kubectl describe pod -n {} {}".format(
                    pod["metadata"]["namespace"], name_of(pod)
                )
            )
            grace = SECONDS_FOR_MOUNT if missing else None
            yield Trouble(_where(pod), "VolumeNotMounted", short(words), way_out, grace)
            return


def _unready(pod: Object, snapshot: Snapshot) -> Iterator[Trouble]:
    """The container runs, its probes do not succeed: normal while a model loads."""
    for event in snapshot.events_of(pod):
        if event.get("reason") == "Unhealthy":
            way_out = f"Its log says what it does: kubectl logs -n {pod['metadata']['namespace']} {name_of(pod)}"
            yield Trouble(_where(pod), "ContainerNotReady", short(event.get("message", "")), way_out)
            return


def _where(pod: Object) -> str:
    return f"Pod {pod['metadata']['namespace']}/{name_of(pod)}"
