"""The row of a Workspace, and whether a wait is over.

`row` is printed by `kaito status` and is an output of the component; `evaluate` is asked by `readiness` after every
change in the cluster. Names of conditions and reasons are KAITO's (pkg/workspace/controllers/workspace_controller.go,
v0.12). Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from kaito_components.live import conditions
from kaito_components.live.conditions import Check
from kaito_components.live.diagnosis import LastWords, Trouble, troubles
from kaito_components.live.snapshot import Goal, Snapshot, labels_of, matching, name_of
from kaito_components.live.tuning_progress import TuningProgress
from kaito_components.names import INFERENCE_SET_LABEL

MESSAGE_CHARACTERS = 256  # KAITO's limit
CLASSIFIED = (
    "ContainerOOMKilled", "ImagePullError", "ContainerStartError", "ContainerCrashLoopBackOff", "NodeDiskPressure",
    "NodeMemoryPressure", "PodEvicted", "Unschedulable",
)  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """One condition as KAITO's Workspace has it."""

    type: str
    status: bool
    reason: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        return {"type": self.type, "status": str(self.status), "reason": self.reason, "message": self.message}


@dataclass(frozen=True)
class StatusRow:
    """One line of `kaito status`. None: does not apply to this Workspace."""

    namespace: str
    name: str
    instance: str
    resource_ready: bool
    inference_ready: bool | None
    job_started: bool | None
    workspace_ready: bool
    created: str  # as the API writes it
    worker_nodes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    troubles: tuple[Trouble, ...] = field(compare=False)
    inference_set: str = ""  # the InferenceSet that it is a replica of
    tuning_log: LastWords | None = None  # where a running Job tells how far it is
    progress: TuningProgress | None = None  # what stands there, once it is fetched

    def as_dict(self) -> dict[str, Any]:
        """The columns, for JSON and for Pulumi's outputs; what does not apply is left out."""
        whole = {
            "name": self.name,
            "namespace": self.namespace,
            "inferenceSet": self.inference_set or None,
            "instance": self.instance,
            "resourceReady": self.resource_ready,
            "inferenceReady": self.inference_ready,
            "jobStarted": self.job_started,
            "workspaceReady": self.workspace_ready,
            "workerNodes": list(self.worker_nodes),
        }
        return {key: value for key, value in whole.items() if value is not None}


def row(snapshot: Snapshot, goal: Goal) -> StatusRow:
    """The row as the cluster is now."""
    found = tuple(troubles(snapshot, goal))
    nodes = conditions.nodes(snapshot, goal)
    work = _job_started(snapshot, goal, found) if goal.is_tuning else _inference_ready(snapshot, goal, nodes, found)
    through = conditions.completed(snapshot, goal).ok if goal.is_tuning else work.status
    failed = not through and any(trouble.reason == "JobFailed" and trouble.terminal for trouble in found)
    word = "workspaceSucceeded" if through else "workspaceFailed" if failed else "workspacePending"
    whole = Condition("WorkspaceSucceeded", through, word, "" if through else work.message)
    return StatusRow(
        namespace=goal.namespace,
        name=goal.workspace,
        instance=goal.instance,
        resource_ready=nodes.ok,
        inference_ready=None if goal.is_tuning else work.status,
        job_started=work.status if goal.is_tuning else None,
        workspace_ready=through,
        created=str((snapshot.workload or {}).get("metadata", {}).get("creationTimestamp") or ""),
        worker_nodes=tuple(sorted(name_of(node) for node in matching(snapshot.nodes, goal.node_selector))),
        conditions=(*_resource_conditions(nodes, found), work, whole),
        troubles=found,
        inference_set=(labels_of(snapshot.workload) if snapshot.workload else {}).get(INFERENCE_SET_LABEL, ""),
        tuning_log=tuning_log(snapshot, goal),
    )


def tuning_log(snapshot: Snapshot, goal: Goal) -> LastWords | None:
    """The container of a running tuning Job; None: there is none."""
    running = [pod for pod in snapshot.current_pods if conditions.runs(pod)]
    if not goal.is_tuning or not running or conditions.completed(snapshot, goal).ok:
        return None
    return LastWords(name_of(running[-1]), running[-1]["spec"]["containers"][0]["name"], previous=False)


def together(tuning: StatusRow, serving: StatusRow) -> StatusRow:
    """The row of a Workspace that tunes and serves what it tuned: ready when the tuned model answers."""
    return replace(
        tuning,
        inference_ready=serving.inference_ready,
        workspace_ready=tuning.workspace_ready and serving.workspace_ready,
        conditions=tuple({one.type: one for one in (*serving.conditions, *tuning.conditions)}.values()),
        troubles=tuple(dict.fromkeys((*tuning.troubles, *serving.troubles))),
    )


def _resource_conditions(nodes: Check, found: Iterable[Trouble]) -> tuple[Condition, Condition]:
    plugins = any(trouble.reason == "NodePluginsNotReady" for trouble in found)
    reason = "NodesReady" if nodes.ok else "NodePluginsNotReady" if plugins else "NodeNotReady"
    whole = "workspaceResourceStatusSuccess" if nodes.ok else reason
    return Condition("NodesReady", nodes.ok, reason, _cut(nodes.text)), Condition(
        "ResourceReady", nodes.ok, whole, _cut(nodes.text)
    )


def _inference_ready(snapshot: Snapshot, goal: Goal, nodes: Check, found: Iterable[Trouble]) -> Condition:
    checks = (nodes, conditions.workload(snapshot, goal), conditions.endpoint(snapshot, goal))
    missing = next((check for check in checks if not check.ok), None)
    if not missing:
        return Condition("InferenceReady", True, "WorkspaceInferenceStatusSuccess", checks[-1].text)
    cause = min((t for t in found if t.reason in CLASSIFIED), key=lambda t: CLASSIFIED.index(t.reason), default=None)
    reason, text = (cause.reason, cause.message) if cause else ("WorkspaceInferenceStatusPending", missing.text)
    return Condition("InferenceReady", False, reason, _cut(text))


def _job_started(snapshot: Snapshot, goal: Goal, found: Iterable[Trouble]) -> Condition:
    started = conditions.started(snapshot, goal)
    if started.ok:
        return Condition("JobStarted", True, "WorkspaceTuningJobStatusStarted", _cut(started.text))
    failure = next((trouble for trouble in found if trouble.terminal), None)
    word = "Failed" if failure else "Pending"
    return Condition(
        "JobStarted", False, f"WorkspaceTuningJobStatus{word}", _cut(failure.message if failure else started.text)
    )


def _cut(text: str) -> str:
    return text[:MESSAGE_CHARACTERS]


@dataclass(frozen=True)
class Done:
    """The goal is reached."""

    row: StatusRow


@dataclass(frozen=True)
class Waiting:
    """The goal may still be reached. `stage` says what is waited for, `text` what is missing now."""

    stage: str
    text: str
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True)
class Failed:
    """The goal will not be reached unless someone acts."""

    trouble: Trouble


def evaluate(snapshot: Snapshot, goal: Goal, lasting: "Lasting", now: float) -> Done | Waiting | Failed:
    """Whether the wait is over.

    Args:
        lasting: what was wrong before; kept up to date here.
        now: seconds of a clock that only goes forward.
    """
    missing = next(((stage, check) for stage, check in _checks(snapshot, goal) if not check.ok), None)
    if not missing:
        return Done(row(snapshot, goal))
    found = troubles(snapshot, goal)
    lasting.update(found, now)
    for trouble in found:
        if trouble.grace_seconds is not None and lasting.seconds(trouble, now) >= trouble.grace_seconds:
            return Failed(trouble)
    stage, check = missing
    return Waiting(stage, check.text, tuple(found))


def _checks(snapshot: Snapshot, goal: Goal) -> list[tuple[str, Check]]:
    """What the goal asks for, in the order in which it comes about."""
    nodes = ("nodes", conditions.nodes(snapshot, goal))
    if goal.is_tuning:
        completed = ("job", conditions.completed(snapshot, goal))
        if goal.until == "completed" or completed[1].ok:
            return [completed]
        return [nodes, ("pods", conditions.started(snapshot, goal))]
    return [nodes, ("pods", conditions.workload(snapshot, goal)), ("endpoint", conditions.endpoint(snapshot, goal))]


class Lasting:
    """Since when each trouble has been there, without a break."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str, bool], float] = {}

    def update(self, found: Iterable[Trouble], now: float) -> None:
        """Takes in what is there now and forgets what has passed."""
        self._since = {trouble.key: self._since.get(trouble.key, now) for trouble in found}

    def seconds(self, trouble: Trouble, now: float) -> float:
        """For how long it has been there."""
        return now - self._since.get(trouble.key, now)
