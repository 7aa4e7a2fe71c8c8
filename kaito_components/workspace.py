"""`Workspace`: a Pulumi component that makes what a plan says: nodes, workload, Service, and the wait for them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import pulumi

from kaito_components.connection import Cluster, ClusterArgs, cluster_of
from kaito_components.declare import this_stack
from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.judging import judged, weigh
from kaito_components.manifests import workload_objects
from kaito_components.manifests.pod_security import needed
from kaito_components.monitoring import monitor
from kaito_components.names import logical_name, service_address
from kaito_components.network import guard
from kaito_components.nodes.aks import make_pool
from kaito_components.options import Reader
from kaito_components.plan import NodeOptions, Plan, WaitOptions, plan
from kaito_components.plan.runtime import preset_ref
from kaito_components.plan.serving import model_name
from kaito_components.plan.types import NodeProvider, Until
from kaito_components.presets.resolving import resolve
from kaito_components.spec.args import WorkspaceSpecArgs
from kaito_components.spec.model import Bundle, InferenceSet
from kaito_components.stack_cost import money, origin
from kaito_components.workload import make_beside, make_objects

if TYPE_CHECKING:
    from kaito_components.readiness import WorkspaceReady

SPEC_KEYS = frozenset(WorkspaceSpecArgs.__annotations__)
OWN_KEYS = frozenset({"cluster", "nodes", "wait", "image_registry", "strict"})


class NodesArgs(TypedDict, total=False):
    """How nodes are had."""

    provider: NodeProvider
    spot: bool
    min_count: int
    max_count: int
    zones: Sequence[str]
    gpus_per_node: int
    os_disk_gib: int


class WaitArgs(TypedDict, total=False):
    """What `pulumi up` waits for, and how long."""

    until: Until
    timeout_seconds: int


class WorkspaceArgs(WorkspaceSpecArgs):
    """KAITO's Workspace in snake case, and where it goes."""

    cluster: Cluster | ClusterArgs
    nodes: NotRequired[NodesArgs]
    wait: NotRequired[WaitArgs]
    image_registry: NotRequired[str]
    strict: NotRequired[bool]
    """Warnings are errors, unless the Workspace accepts them."""


@dataclass(frozen=True)
class Planned:
    """What stands in for the args of a Workspace whose plan was made together with others."""

    plan: Plan
    cluster: Cluster
    after: Sequence[pulumi.Resource] = ()
    strict: bool = False


class Workspace(pulumi.ComponentResource):
    """GPU nodes, and a model served or tuned on them.

    Raises:
        pulumi.RunError: the Workspace cannot work; the message holds every problem.
    """

    endpoint: pulumi.Output[str]
    openai_base_url: pulumi.Output[str]
    model_name: pulumi.Output[str | None]
    status: pulumi.Output[Mapping[str, Any]]
    node_pool: pulumi.Output[str | None]
    resources: pulumi.Output[Sequence[Mapping[str, str]]]
    cost: pulumi.Output[Mapping[str, Any] | None]

    def __init__(self, name: str, args: WorkspaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        given = args if isinstance(args, Planned) else planned_from_args(name, args)[0]
        super().__init__("kaito:index:Workspace", name, {}, opts)
        self._make(given.plan, given.cluster, given.after)
        guard(given.plan, given.cluster, self)
        monitor(given.plan, given.cluster, self, lambda found: self._say(found, given))

    def _make(self, planned: Plan, cluster: Cluster, beside: Sequence[pulumi.Resource]) -> None:
        report(planned.findings, self)
        if planned.cost:
            pulumi.log.info(f"cost: {money(planned.cost)}; {origin(planned.cost, today())}", self)
        nodes = self._nodes(planned, cluster)
        manifests = workload_objects(planned, cluster.prefer_tuning() if planned.serving else "")
        made = make_objects(manifests, cluster.provider, self, [*nodes, *beside])
        self.ready = self._wait(planned, manifests, cluster, [*nodes, *made])
        pool = planned.pool.name if planned.pool else None
        address = service_address(planned.namespace, planned.name)
        values = {
            "endpoint": address,
            "openai_base_url": f"{address}/v1",
            "model_name": model_name(planned),
            "status": self.ready.status,
            "node_pool": pool,
            "resources": [{"kind": one.kind, "name": one.name} for one in planned.resources],
            "cost": asdict(planned.cost) if planned.cost else None,
        }
        for key, value in values.items():
            setattr(self, key, pulumi.Output.from_input(value))
        self.register_outputs(values)

    def outputs(self) -> dict[str, pulumi.Output[Any]]:
        """All of its outputs by name."""
        return {name: getattr(self, name) for name in Workspace.__annotations__}

    def _say(self, found: Finding, given: Planned) -> None:
        """One finding that comes while things are declared.

        Raises:
            pulumi.RunError: it is an error in this stack.
        """
        weighed = weigh(found, given.plan.spec.accepted, given.strict)
        if weighed.severity == "error":
            raise pulumi.RunError(str(InvalidWorkspace([weighed])))
        report([weighed], self)

    def _nodes(self, planned: Plan, cluster: Cluster) -> list[pulumi.Resource]:
        if planned.pool:
            return [make_pool(planned, cluster, self)]
        from kaito_components.nodes.existing import ExistingNodes

        return [
            ExistingNodes(
                f"{logical_name(planned.namespace, planned.name)}-nodes",
                kubeconfig=cluster.kubeconfig,
                context=cluster.context,
                node_selector=planned.node_selector,
                expected_nodes=planned.node_count,
                gpus_per_node=planned.gpus_per_node,
                gpu_resource=planned.gpu_resource,
                opts=pulumi.ResourceOptions(parent=self),
            )
        ]

    def _wait(
        self,
        planned: Plan,
        manifests: Sequence[Mapping[str, Any]],
        cluster: Cluster,
        after: Sequence[pulumi.Resource],
    ) -> "WorkspaceReady":
        from kaito_components.readiness import WorkspaceReady

        return WorkspaceReady(
            f"{logical_name(planned.namespace, planned.name)}-ready",
            kubeconfig=cluster.kubeconfig,
            context=cluster.context,
            namespace=planned.namespace,
            workspace=planned.name,
            kind=manifests[-1]["kind"],
            kinds=[one["kind"] for one in manifests if one["metadata"]["name"] == planned.name],
            node_selector=planned.node_selector,
            expected_nodes=planned.node_count,
            gpus_per_node=planned.gpus_per_node,
            gpu_resource=planned.gpu_resource,
            may_grow=planned.may_grow,
            instance=planned.instance_type,
            until=planned.wait,
            timeout_seconds=planned.timeout_seconds,
            triggers=[_digest(manifests)],
            stack=this_stack(),
            pods_need=needed(manifests),
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )


def _digest(objects: Sequence[Mapping[str, Any]]) -> str:
    """What must be waited for again: another object, another wait."""
    return hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()[:16]


def report(findings: Iterable[Finding], resource: pulumi.Resource | None = None) -> None:
    """Warnings and infos as diagnostics of the Workspace, or of the stack."""
    for finding in findings:
        say = pulumi.log.warn if finding.severity == "warning" else pulumi.log.info
        say(f"{finding.code}: {finding}", resource)


def today() -> date:
    return datetime.now(UTC).date()


def planned_from_args(name: str, args: Mapping[str, Any], replicas: int | None = None) -> list[Planned]:
    """A Workspace that is given by Python args, or the replicas of an InferenceSet of it.

    Raises:
        pulumi.RunError: with every problem.
    """
    from kaito_components.spec.reader import bundle_from_args

    reader = Reader(f"Workspace({name!r})")
    for key in sorted(set(args) - SPEC_KEYS - OWN_KEYS):
        reader.add(key, f"is not a key; keys are {', '.join(sorted(SPEC_KEYS | OWN_KEYS))}")
    if not args.get("cluster"):
        reader.add("cluster", "is missing: give a Cluster, or {resource_group, name}, or {kubeconfig}")
    nodes, wait = reader.nodes(args.get("nodes", {}), "nodes"), reader.wait(args.get("wait", {}), "wait")
    strict = reader.switch(args.get("strict", False), "strict")
    try:
        bundle = bundle_from_args(name, {key: value for key, value in args.items() if key in SPEC_KEYS})
        if not reader.problems:
            (spec,) = bundle.workspaces
            specs = (spec,) if replicas is None else InferenceSet(spec.name, spec.namespace, replicas, spec).replicas()
            options = [(nodes, wait)] * len(specs)
            plans = plan_bundle(replace(bundle, workspaces=specs), options, args.get("image_registry"), strict)
            refuse_pools_elsewhere(plans, args["cluster"])
            cluster = cluster_of(args["cluster"])
            whole = reviewed(plans, cluster, strict)
            beside = make_beside(bundle.config_maps, cluster)
            return [Planned(one, cluster, beside, strict) for one in whole]
    except InvalidWorkspace as refused:
        reader.problems.extend(refused.findings)
    raise pulumi.RunError(str(InvalidWorkspace(reader.problems)))


def refuse_pools_elsewhere(plans: Sequence[Plan], cluster: Cluster | ClusterArgs) -> None:
    if not plans:
        return
    group = cluster.resource_group if isinstance(cluster, Cluster) else cluster.get("resource_group")
    if group is None and any(one.pool for one in plans):
        text = "pools need an AKS cluster: give resource_group and name, or nodes with the provider 'existing'"
        raise pulumi.RunError(f"Workspace {plans[0].name!r}: cluster: {text}")


def plan_bundle(
    bundle: Bundle,
    options: Sequence[tuple[NodeOptions, WaitOptions]],
    image_registry: str | None,
    strict: bool = False,
) -> list[Plan]:
    """Plans all Workspaces before anything is declared, so that all problems of all of them are said at once."""
    plans: list[Plan] = []
    problems: list[Finding] = []
    for spec, (nodes, wait) in zip(bundle.workspaces, options, strict=True):
        try:
            model = resolve(named.name if (named := preset_ref(spec)) else None)
            plans.append(plan(spec, bundle=bundle, nodes=nodes, wait=wait, image_registry=image_registry, model=model))
        except InvalidWorkspace as refused:
            problems += refused.findings
    problems += _errors([weigh(one, {}, strict) for one in bundle.findings])
    problems += [error for one in plans for error in _errors(judged(one, strict).findings)]
    if problems:
        raise InvalidWorkspace(list(dict.fromkeys(problems)))  # replicas of one template have the same
    return plans


def _errors(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "error"]


def reviewed(plans: Sequence[Plan], cluster: Cluster, strict: bool) -> list[Plan]:
    """The plans with costs and what Azure says of them, and all findings as they weigh in the end.

    Raises:
        pulumi.RunError: Azure would refuse.
    """
    found = [judged(one, strict) for one in cluster.review.of(plans)]
    if errors := [error for one in found for error in _errors(one.findings)]:
        raise pulumi.RunError(str(InvalidWorkspace(errors)))
    return found
