"""`ExistingNodes`: nodes that somebody else made. Nothing is created; preview says if there are not enough of them.

Declared by `workspace` for the node provider `existing`. A dynamic resource, because its `check` runs at preview too.
"""

from collections.abc import Mapping
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
from kaito_components.live.snapshot import Goal, Object, gpus_of, is_ready, matching, name_of, usable
from kaito_components.live.waiting import asked_for
from kaito_components.names import GPU_RESOURCE, label_selector

WATCHED = ("node_selector", "expected_nodes", "gpus_per_node", "gpu_resource")


class ExistingNodesProvider(ResourceProvider):
    """The methods that the engine calls. The state names this class by its module path: do not move it."""

    serialize_as_secret_always = False  # nothing secret in it; the kubeconfig is a secret property

    def configure(self, req: ConfigureRequest) -> None:
        provider_process.prepare()

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """At preview and before `up`. A cluster that cannot be asked is a warning here, and an error in `create`."""
        if not _is_known(news):
            return CheckResult(news, [])
        try:
            problem = _shortage(news)
        except ClusterError as error:
            print(f"warning: nodes with {_selector(news)} could not be checked: {error}", flush=True)
            return CheckResult(news, [])
        return CheckResult(news, [CheckFailure("", problem)] if problem else [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(_olds.get(key) != _news.get(key) for key in WATCHED))

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(_selector(props) or "any", _checked(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_checked(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """The nodes are not ours."""


class ExistingNodes(Resource, module="kaito", name="ExistingNodes"):
    """Enough nodes are there: Ready, with the labels, with GPUs that pods may have.

    Attributes:
        node_names: of those that were found when this was made.
    """

    node_names: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        kubeconfig: pulumi.Input[str],
        context: str | None,
        node_selector: Mapping[str, str],
        expected_nodes: int,
        gpus_per_node: int,
        gpu_resource: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        properties = {
            "node_names": None,
            "kubeconfig": pulumi.Output.secret(kubeconfig),
            "context": context,
            "node_selector": dict(node_selector),
            "expected_nodes": expected_nodes,
            "gpus_per_node": gpus_per_node,
            "gpu_resource": gpu_resource,
        }
        options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=True))
        super().__init__(ExistingNodesProvider(), name, properties, options)


def shortage(nodes: tuple[Object, ...], goal: Goal) -> str:
    """What is missing among the nodes of a cluster, and what there is instead; nothing if there are enough. Pure."""
    found = matching(nodes, goal.node_selector)
    if len(usable(found, goal)) >= goal.expected_nodes:
        return ""
    noun = "GPU" if goal.gpu_resource == GPU_RESOURCE else f"{goal.gpu_resource.partition('-')[2]} slice"
    each = f" and {_count(goal.gpus_per_node, noun)} each" if goal.gpus_per_node else ""
    needed = f"needs {_count(goal.expected_nodes, 'Ready node')} with {goal.nodes_text}{each}"
    seen = ", ".join(f"{name_of(node)} ({_description(node, goal, noun)})" for node in found)
    way_out = "Label nodes (kubectl label node NAME KEY=VALUE), add some, or let a pool be made (nodes: aks)"
    if found and all(is_ready(node) for node in found) and goal.gpus_per_node:
        way_out = f"Check the device plugin that offers {goal.gpu_resource}, or add nodes"
    return f"{needed}; found {len(found)}{': ' + seen if seen else ''}. {way_out}"


def _description(node: Object, goal: Goal, noun: str) -> str:
    gpus = f"{_count(gpus_of(node, goal), noun)} allocatable"
    return gpus if is_ready(node) else f"not Ready, {gpus}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shortage(props: Mapping[str, Any]) -> str:
    """Raises ClusterError if the cluster cannot be asked."""
    return shortage(_nodes(props), asked_for(props))


def _checked(props: dict[str, Any]) -> dict[str, Any]:
    """All outputs, if there are enough nodes."""
    nodes, goal = _nodes(props), asked_for(props)
    if problem := shortage(nodes, goal):
        raise ClusterError(problem)
    found = usable(matching(nodes, goal.node_selector), goal)
    return {**props, "node_names": sorted(name_of(node) for node in found)}


def _nodes(props: Mapping[str, Any]) -> tuple[Object, ...]:
    from kaito_components.live.cluster import Cluster, Query

    cluster = Cluster.from_text(props["kubeconfig"], props.get("context"))
    try:
        return tuple(cluster.get(Query("/api/v1/nodes", "Node", labels=_selector(props))).items)
    finally:
        cluster.close()


def _selector(props: Mapping[str, Any]) -> str:
    return label_selector(props["node_selector"])


def _is_known(props: Mapping[str, Any]) -> bool:
    """Whether everything needed is known; at preview some values may not be."""
    return isinstance(props.get("kubeconfig"), str) and isinstance(props.get("node_selector"), dict)
