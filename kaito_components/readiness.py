"""`WorkspaceReady`: a Pulumi resource that is created when its Workspace is ready, and not before.

Declared by `workspace`. A dynamic provider, because a wait belongs into `pulumi up` and needs no plugin. A wait that
fails records nothing, so the next `up` waits again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from kaito_components import provider_process
from kaito_components.errors import ClusterError

# Not the kubeconfig and not the deadline: fresh credentials or more patience are no reason to wait again.
WATCHED = ("triggers", "until", "namespace", "workspace", "kind", "expected_nodes", "node_selector")
OUTPUTS = ("status", "pod_names", "node_names", "ready_seconds")


class WorkspaceReadyProvider(ResourceProvider):
    """The methods that the engine calls. The state names this class by its module path: do not move it."""

    serialize_as_secret_always = False  # nothing secret in it; the kubeconfig is a secret property

    def configure(self, req: ConfigureRequest) -> None:
        provider_process.prepare()

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """At preview: nobody else's objects stand in a new Workspace's place, and its namespace takes its pods."""
        problem = _in_the_way(olds, news)
        return CheckResult(news, [CheckFailure("", problem)] if problem else [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(_olds.get(key) != _news.get(key) for key in WATCHED))

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(f"{props['namespace']}/{props['workspace']}", _waited(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_waited(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """A Workspace that is no longer ready is gone as far as this resource goes, so the next `up` waits again."""
        return ReadResult(id_, props) if _is_still_ready(props) else ReadResult("", {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """There is nothing to delete."""


class WorkspaceReady(Resource, module="kaito", name="WorkspaceReady"):
    """Done when the Workspace is.

    Attributes:
        status: the row of `kaito status`, as a dict.
        ready_seconds: how long it took.
    """

    status: pulumi.Output[Mapping[str, Any]]
    pod_names: pulumi.Output[Sequence[str]]
    node_names: pulumi.Output[Sequence[str]]
    ready_seconds: pulumi.Output[float]

    def __init__(
        self,
        name: str,
        *,
        kubeconfig: pulumi.Input[str],
        context: str | None,
        namespace: str,
        workspace: str,
        kind: str,
        kinds: Sequence[str],
        node_selector: Mapping[str, str],
        expected_nodes: int,
        gpus_per_node: int,
        gpu_resource: str,
        may_grow: bool,
        instance: str,
        until: str,
        timeout_seconds: int,
        triggers: Sequence[str],
        stack: str,
        pods_need: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            kubeconfig: its content.
            kind: of the workload: Deployment, StatefulSet or Job.
            kinds: of all objects that bear the Workspace's name.
            may_grow: whether more nodes come for a pod that finds no place.
            until: ready (it answers), started or completed (tuning), or none, which does not wait.
            triggers: a change of any of them waits again.
            stack: whose the Workspace's objects are.
            pods_need: the level of the Pod Security Standards, and because of what.
        """
        properties = {
            **dict.fromkeys(OUTPUTS),
            "kubeconfig": pulumi.Output.secret(kubeconfig),
            "context": context,
            "namespace": namespace,
            "workspace": workspace,
            "kind": kind,
            "kinds": list(kinds),
            "node_selector": dict(node_selector),
            "expected_nodes": expected_nodes,
            "gpus_per_node": gpus_per_node,
            "gpu_resource": gpu_resource,
            "may_grow": may_grow,
            "instance": instance,
            "until": until,
            "timeout_seconds": timeout_seconds,
            "triggers": list(triggers),
            "stack": stack,
            "pods_need": dict(pods_need),
        }
        retained = pulumi.ResourceOptions(retain_on_delete=True)  # destroy need not start a process for nothing
        options = pulumi.ResourceOptions.merge(opts, retained)
        super().__init__(WorkspaceReadyProvider(), name, properties, options)


def _waited(props: dict[str, Any]) -> dict[str, Any]:
    """All outputs, once the goal is reached."""
    from kaito_components.live.status import together
    from kaito_components.live.waiting import asked_for, stages, wait

    goal = asked_for(props)
    if goal.until == "none":
        status = {"name": goal.workspace, "namespace": goal.namespace, "instance": goal.instance}
        return {**props, "status": status, "pod_names": [], "node_names": [], "ready_seconds": 0}
    cluster, left, reached = _cluster(props), float(props["timeout_seconds"]), []
    try:
        for stage in stages(goal):
            reached.append(wait(cluster, stage, left, _say))
            left -= reached[-1].seconds
    finally:
        cluster.close()
    seconds, first, last = sum(one.seconds for one in reached), reached[0], reached[-1]
    row = first.row if first is last else together(first.row, last.row)
    _say(f"{goal.workspace}: {goal.until} after {seconds:.1f} s")
    return {
        **props,
        "status": row.as_dict(),
        "pod_names": list(last.pods),
        "node_names": list(row.worker_nodes),
        "ready_seconds": seconds,
    }


def _in_the_way(olds: dict[str, Any], props: dict[str, Any]) -> str:
    """Nothing where the cluster is not known yet, or cannot be asked: others say so."""
    from kaito_components.live.admission import refused_pods
    from kaito_components.live.foreign import foreign_objects

    questions = [] if olds else [foreign_objects]
    if olds.get("pods_need") != props.get("pods_need"):
        questions.append(refused_pods)
    if not (questions and isinstance(props.get("kubeconfig"), str) and props.get("stack")):
        return ""
    try:
        cluster = _cluster(props)
    except ClusterError:
        return ""
    try:
        return "; ".join(filter(None, (_answer(ask, cluster, props) for ask in questions)))
    finally:
        cluster.close()


def _answer(question: Callable[[Any, dict[str, Any]], str], cluster: Any, props: dict[str, Any]) -> str:
    """Nothing where this may not be asked: who may make a Deployment may perhaps not read its namespace."""
    try:
        return question(cluster, props)
    except ClusterError:
        return ""


def _is_still_ready(props: dict[str, Any]) -> bool:
    """Also when it cannot be known: a refresh must not fail because the kubeconfig of the last `up` has expired."""
    from kaito_components.live.waiting import asked_for, is_reached, stages

    goal = asked_for(props)
    if goal.until == "none":
        return True
    try:
        cluster = _cluster(props)
    except ClusterError:
        return True
    try:
        return all(is_reached(cluster, stage) for stage in stages(goal))
    except ClusterError:
        return True
    finally:
        cluster.close()


def _cluster(props: dict[str, Any]) -> Any:
    from kaito_components.live.cluster import Cluster

    return Cluster.from_text(props["kubeconfig"], props.get("context"))


def _say(line: str) -> None:
    """To the user's screen: the engine shows what this process prints."""
    print(line, flush=True)
