"""Waiting until a Workspace is as its goal says. Called by `readiness`.

One thread a collection watches the cluster; after each change the pure `status.evaluate` is asked whether it is over.
An API server that does not answer is no failure before the deadline; one that refuses us is.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from kaito_components import names, provider_process
from kaito_components.errors import ClusterError, KaitoError
from kaito_components.live.cluster import Cluster, Query, Refused, Watches
from kaito_components.live.diagnosis import Trouble
from kaito_components.live.logs import last_lines, tuning_progress
from kaito_components.live.snapshot import Goal, Snapshot, name_of
from kaito_components.live.status import Done, Failed, Lasting, StatusRow, Waiting, evaluate, tuning_log

TICK_SECONDS = 1.0  # how often graces, the deadline and a cancellation are looked at while nothing changes
SECONDS_UNTIL_REFUSED = 3.0  # an API server that has just started refuses everybody for a moment
SECONDS_BETWEEN_REPEATS = 15.0
SECONDS_OF_SILENCE = 60.0
SECONDS_UNTIL_SAID = 3.0  # most troubles of a start pass by themselves
LONG_GRACE = 200.0  # what may take minutes is no news

Say = Callable[[str], None]


class NotReady(KaitoError):
    """The Workspace did not become what it should be."""


@dataclass(frozen=True)
class Reached:
    """What was there when the goal was reached."""

    row: StatusRow
    pods: tuple[str, ...]
    seconds: float


def queries(goal: Goal) -> dict[str, Query]:
    """What is watched of the cluster for one Workspace; the names are those of `Snapshot`."""
    core, inside = "/api/v1", f"namespaces/{goal.namespace}"
    own = f"{names.WORKSPACE_LABEL}={goal.workspace}"
    group = "batch/v1" if goal.is_tuning else "apps/v1"
    by_name = f"metadata.name={goal.workspace}"
    selector = names.label_selector(goal.node_selector)
    watched = {
        "nodes": Query(f"{core}/nodes", "Node", labels=selector),
        "pods": Query(f"{core}/{inside}/pods", "Pod", labels=own),
        "workload": Query(f"/apis/{group}/{inside}/{goal.kind.lower()}s", goal.kind, fields=by_name),
        "events": Query(f"{core}/{inside}/events", "Event", fields="type=Warning"),
    }
    if goal.kind == "Deployment":
        watched["replica_sets"] = Query(f"/apis/apps/v1/{inside}/replicasets", "ReplicaSet", labels=own)
    if not goal.is_tuning:
        of_service = f"kubernetes.io/service-name={goal.workspace}"
        path = f"/apis/discovery.k8s.io/v1/{inside}/endpointslices"
        watched["endpoint_slices"] = Query(path, "EndpointSlice", labels=of_service)
    return watched


def snapshot_of(watches: Watches) -> Snapshot:
    """The watched collections as one picture."""
    workloads = watches.objects("workload")
    return Snapshot(
        workload=workloads[0] if workloads else None,
        replica_sets=watches.objects("replica_sets"),
        pods=watches.objects("pods"),
        nodes=watches.objects("nodes"),
        events=watches.objects("events"),
        endpoint_slices=watches.objects("endpoint_slices"),
    )


def wait(cluster: Cluster, goal: Goal, timeout_seconds: float, say: Say) -> Reached:
    """Returns as soon as the goal is reached.

    Raises:
        NotReady: it will not be reached, or was not by the deadline.
        ClusterError: the API server refuses us.
    """
    started = time.monotonic()
    deadline = started + timeout_seconds
    watcher = _Watcher(cluster, goal, say)
    with Watches(cluster, queries(goal)) as watches:
        while True:
            now = time.monotonic()
            watches.wait(min(TICK_SECONDS, deadline - now))
            now = time.monotonic()
            outcome = watcher.look(watches, now)
            if isinstance(outcome, Done):
                pods = tuple(sorted(name_of(pod) for pod in snapshot_of(watches).current_pods))
                return Reached(outcome.row, pods, round(now - started, 1))
            if isinstance(outcome, Failed):
                raise NotReady(_failure(goal, outcome.trouble, cluster))
            if provider_process.is_cancelled():
                raise NotReady(f"Workspace {goal.workspace}: cancelled while it waited for: {outcome.text}")
            if now >= deadline:
                raise NotReady(_overdue(goal, outcome, timeout_seconds, cluster))


def stages(goal: Goal) -> list[Goal]:
    """What must be reached one after the other: first the tuning Job, then the server of what it tuned."""
    if not goal.is_tuning or goal.until != "ready":
        return [goal]
    return [replace(goal, until="completed"), replace(goal, kind="Deployment")]


def is_reached(cluster: Cluster, goal: Goal) -> bool:
    """Whether the goal is reached now, from one look. Raises ClusterError."""
    seen = {name: tuple(cluster.get(query).items) for name, query in queries(goal).items()}
    workload = next(iter(seen.pop("workload")), None)
    snapshot = Snapshot(workload=workload, **seen)
    return isinstance(evaluate(snapshot, goal, Lasting(), 0), Done)


class _Watcher:
    """What is remembered between two looks at one Workspace."""

    def __init__(self, cluster: Cluster, goal: Goal, say: Say) -> None:
        self._cluster, self._goal = cluster, goal
        self._progress = Progress(goal.workspace, say)
        self._lasting = Lasting()
        self._refused_since: float | None = None
        self._asked = float("-inf")
        self._tuning = ""  # how far it is

    def look(self, watches: Watches, now: float) -> Done | Waiting | Failed:
        problem = watches.problem
        if problem:
            self._judge(problem, now)
            outcome: Done | Waiting | Failed = Waiting("api", f"{problem} (trying again)", ())
        elif not watches.is_complete:
            outcome = Waiting("api", f"an answer of {self._cluster.server}", ())
        else:
            self._refused_since = None
            snapshot = snapshot_of(watches)
            outcome = self._with_progress(evaluate(snapshot, self._goal, self._lasting, now), snapshot, now)
        if isinstance(outcome, Waiting) and (problem or watches.is_complete):
            self._progress.tell(*self._news(outcome, now), now)
        return outcome

    def _with_progress(
        self, outcome: Done | Waiting | Failed, snapshot: Snapshot, now: float
    ) -> Done | Waiting | Failed:
        """While a Job trains, what is waited for is the rest of its steps; asked for as often as it may be said."""
        if not isinstance(outcome, Waiting) or outcome.stage != "job":
            return outcome
        if now - self._asked >= SECONDS_BETWEEN_REPEATS:
            self._asked = now
            progress = tuning_progress(self._cluster, self._goal.namespace, tuning_log(snapshot, self._goal))
            self._tuning = str(progress or "")
        return replace(outcome, text=self._tuning) if self._tuning else outcome

    def _news(self, outcome: Waiting, now: float) -> tuple[str, str]:
        """(stage, text): a trouble that may end the wait soon, or what is waited for."""
        for trouble in outcome.troubles:
            grace = trouble.grace_seconds
            if grace and grace < LONG_GRACE and self._lasting.seconds(trouble, now) >= SECONDS_UNTIL_SAID:
                return trouble.reason, f"{trouble} (fails if this lasts {grace:.0f} s)"
        return outcome.stage, outcome.text

    def _judge(self, problem: ClusterError, now: float) -> None:
        """Raises what will not pass by itself."""
        if not isinstance(problem, Refused):
            self._refused_since = None
            return
        self._refused_since = self._refused_since or now
        if now - self._refused_since >= SECONDS_UNTIL_REFUSED:
            raise NotReady(f"Workspace {self._goal.workspace}: {problem}") from None


def _failure(goal: Goal, trouble: Trouble, cluster: Cluster) -> str:
    return f"Workspace {goal.workspace} cannot become ready. {trouble}{_last_words(goal, trouble, cluster)}"


def _last_words(goal: Goal, trouble: Trouble, cluster: Cluster) -> str:
    """The end of the container's log, if it can be had."""
    if not trouble.last_words:
        return ""
    lines = last_lines(cluster, goal.namespace, trouble.last_words)
    head = f"the end of the log of {trouble.last_words.container}:"
    return "".join(f"\n  | {line}" for line in (head, *lines)) if lines else ""


def _overdue(goal: Goal, outcome: Waiting, timeout_seconds: float, cluster: Cluster) -> str:
    causes = outcome.troubles[:1]
    known = "".join(f" {trouble}{_last_words(goal, trouble, cluster)}" for trouble in causes)
    text = f"Workspace {goal.workspace} is not ready after {timeout_seconds:.0f} s. It waited for: {outcome.text}."
    return (
        f"{text}{known}\nNothing is lost: the next `pulumi up` waits on; `timeoutSeconds` under `wait` gives it longer."
    )


class Progress:
    """One line for each new stage of a wait, and not too many within one."""

    def __init__(self, workspace: str, say: Say) -> None:
        self._workspace, self._say = workspace, say
        self._stage, self._text, self._said = "", "", float("-inf")

    def tell(self, stage: str, text: str, now: float) -> None:
        """Says it if it is another stage, other words after a while, or the same after a long while."""
        silence = now - self._said
        repeated = SECONDS_OF_SILENCE if text == self._text else SECONDS_BETWEEN_REPEATS
        if stage != self._stage or silence >= repeated:
            self._stage, self._text, self._said = stage, text, now
            self._say(f"{self._workspace}: {text}")


def asked_for(values: Mapping[str, object]) -> Goal:
    """The goal from the properties of a resource, as they come over the wire: numbers are floats there."""
    fields = dict(values)
    numbers = {name: int(float(str(fields[name]))) for name in ("expected_nodes", "gpus_per_node")}
    texts = {name: fields.get(name) or "" for name in ("namespace", "workspace", "kind", "instance", "until")}
    selector = fields.get("node_selector") or {}
    resource = fields.get("gpu_resource") or names.GPU_RESOURCE
    grows = bool(fields.get("may_grow"))
    return Goal(node_selector=selector, gpu_resource=resource, may_grow=grows, **numbers, **texts)  # type: ignore[arg-type]
