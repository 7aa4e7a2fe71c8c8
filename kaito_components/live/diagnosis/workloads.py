"""What can be wrong with a Deployment, StatefulSet or Job: gone, its pods refused, evicted, or failed for good."""

from collections.abc import Iterator

from kaito_components.live.diagnosis.containers import ending
from kaito_components.live.diagnosis.trouble import LastWords, Trouble, short
from kaito_components.live.snapshot import (
    Goal,
    Object,
    Snapshot,
    condition,
    containers_of,
    is_going,
    is_owned_by,
    name_of,
    status_of,
)

SECONDS_WITHOUT_WORKLOAD = 10
SECONDS_FOR_REFUSED_POD = 10  # quota, admission: the controller has tried again by then
SECONDS_FOR_POD = 60  # a webhook that does not answer
FAILED_PODS = 3
LOST_PODS = 2
HINTS = {"PodFailurePolicy": "Its data, settings, model or login are wrong: a retry would fail the same way"}


def workload_troubles(snapshot: Snapshot, goal: Goal) -> Iterator[Trouble]:
    """What is wrong with the workload itself."""
    where = f"{goal.kind} {goal.namespace}/{goal.workspace}"
    workload = snapshot.workload
    if not workload or is_going(workload):
        state = "it is being deleted" if workload else "it does not exist"
        way_out = "Bring it back with `pulumi up --refresh`"
        yield Trouble(where, "WorkloadMissing", state, way_out, SECONDS_WITHOUT_WORKLOAD)
        return
    if refusal := _refusal(snapshot, workload):
        yield _refused(where, goal, refusal)
    yield from _job(where, snapshot, workload) if goal.is_tuning else _lost(where, snapshot)


def _refusal(snapshot: Snapshot, workload: Object) -> str:
    """Why the API server takes no further pod; nothing if it does."""
    if (failure := condition(workload, "ReplicaFailure")).get("status") == "True":
        return str(failure.get("message", ""))
    pods = snapshot.current_pods
    if pods if workload["kind"] == "Job" else len(pods) >= int(workload["spec"].get("replicas", 1)):
        return ""
    return next((e["message"] for e in snapshot.events_of(workload) if e.get("reason") == "FailedCreate"), "")


def _refused(where: str, goal: Goal, words: str) -> Trouble:
    if "exceeded quota" in words:
        way_out = f"Raise the quota (kubectl describe resourcequota -n {goal.namespace}), or use another namespace"
        return Trouble(where, "QuotaExceeded", short(words), way_out, SECONDS_FOR_REFUSED_POD)
    refused = "forbidden" in words or "denied the request" in words or "is invalid" in words
    way_out = f"Change the pod template, or the policy of namespace {goal.namespace} that refuses it"
    grace = SECONDS_FOR_REFUSED_POD if refused else SECONDS_FOR_POD
    return Trouble(where, "PodRefused", short(words), way_out, grace)


def _verdict(job: Object) -> Object:
    """The condition that says the Job has failed for good, or an empty one. FailureTarget comes before Failed."""
    for kind in ("Failed", "FailureTarget"):
        if (found := condition(job, kind)).get("status") == "True":
            return found
    return {}


def _job(where: str, snapshot: Snapshot, job: Object) -> Iterator[Trouble]:
    failed = [pod for pod in snapshot.pods if is_owned_by(pod, job) and status_of(pod).get("phase") == "Failed"]
    verdict = _verdict(job)
    if not failed and not verdict:
        return
    lasting = verdict or (len(failed) >= FAILED_PODS and len(snapshot.current_pods) == len(failed))
    grace = 0 if lasting else None
    hint = HINTS.get(verdict.get("reason", ""), "")
    judged = f"{verdict['reason']}: {short(verdict.get('message', ''))}" if verdict else f"{len(failed)} pods failed"
    newest = max(failed, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)
    if newest is None or not (end := _failed_container(newest)):
        yield Trouble(
            where,
            "JobFailed",
            judged,
            f"See kubectl describe job -n {job['metadata']['namespace']} {name_of(job)}",
            grace,
        )
        return
    container, word = end
    reason, message, way_out = ending(
        f"{word} {container['name']}", newest, container, container["state"]["terminated"]
    )
    reason = "JobFailed" if reason == "ContainerCrashLoopBackOff" else reason
    text = f"{judged.rstrip('.')}; in pod {name_of(newest)} {message}"
    last_words = LastWords(name_of(newest), container["name"], previous=False)
    yield Trouble(where, reason, text, f"{hint}. {way_out}" if hint else way_out, grace, last_words)


def _failed_container(pod: Object) -> tuple[Object, str] | None:
    """The container that ended badly, and what to call it."""
    initial = status_of(pod).get("initContainerStatuses") or []
    for container in containers_of(pod):
        if ((container.get("state") or {}).get("terminated") or {}).get("exitCode"):
            return container, "init container" if container in initial else "container"
    return None


def _lost(where: str, snapshot: Snapshot) -> Iterator[Trouble]:
    """Pods that their node gave up: evicted, or not admitted. A controller replaces them, perhaps for ever."""
    failed = [pod for pod in snapshot.current_pods if status_of(pod).get("phase") == "Failed"]
    evicted = [pod for pod in failed if status_of(pod).get("reason") == "Evicted"]
    lost, reason, word = (evicted, "PodEvicted", "evicted") if evicted else (failed, "PodFailed", "failed")
    if not lost:
        return
    status = status_of(lost[-1])
    message = f"{len(lost)} of its pods {word}, the last one {name_of(lost[-1])}: {short(status.get('message', ''))}"
    way_out = (
        "Choose a VM size with more memory or a larger disk, or lower what the pod uses"
        if evicted
        else f"See kubectl describe pod -n {lost[-1]['metadata']['namespace']} {name_of(lost[-1])}"
    )
    yield Trouble(where, reason, message, way_out, SECONDS_FOR_POD if len(lost) >= LOST_PODS else None)
