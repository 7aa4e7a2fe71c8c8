"""`InferenceSet`: a Pulumi component with replicas of a Workspace behind one Service. Called by making."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NotRequired

import pulumi

from kaito_components.declare import kubernetes_object
from kaito_components.manifests import set_service
from kaito_components.names import logical_name, service_address
from kaito_components.workspace import Planned, Workspace, WorkspaceArgs, planned_from_args


class InferenceSetArgs(WorkspaceArgs):
    """A Workspace that serves, and how many of it."""

    replicas: NotRequired[int]
    """1 if left out."""


class InferenceSet(pulumi.ComponentResource):
    """Replicas of a Workspace. Each has its nodes; a change goes from one to the next when that one is ready again.

    Raises:
        pulumi.RunError: a replica cannot work; the message holds every problem.
    """

    endpoint: pulumi.Output[str | None]
    openai_base_url: pulumi.Output[str | None]
    model_name: pulumi.Output[str | None]
    replicas: pulumi.Output[Mapping[str, Mapping[str, Any]]]

    def __init__(
        self, name: str, args: InferenceSetArgs | Sequence[Planned], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """
        Args:
            name: of the set.
            args: its Workspace and how many; or the plans of its Workspaces, made together with others.
        """
        replicas = _planned(name, args) if isinstance(args, Mapping) else args
        super().__init__("kaito:index:InferenceSet", name, {}, opts)
        made: list[Workspace] = []
        for one in replicas:
            after = [*one.after, *(made[-1].ready for _ in made[-1:])]
            replica: Any = replace(one, after=after)
            own = logical_name(one.plan.namespace, one.plan.name)
            made.append(Workspace(own, replica, pulumi.ResourceOptions(parent=self)))
        address = self._serve(replicas[0]) if replicas else None
        values = {
            "endpoint": address,
            "openai_base_url": f"{address}/v1" if address else None,
            "model_name": made[0].model_name if made else None,
            "replicas": {one.pulumi_resource_name: one.outputs() for one in made},
        }
        for key, value in values.items():
            setattr(self, key, pulumi.Output.from_input(value))
        self.register_outputs(values)

    def outputs(self) -> dict[str, pulumi.Output[Any]]:
        """All of its outputs by name."""
        return {name: getattr(self, name) for name in InferenceSet.__annotations__}

    def _serve(self, first: Planned) -> str:
        """Declares the Service over all replicas; returns its address."""
        manifest = set_service(first.plan)
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        opts = pulumi.ResourceOptions(parent=self)
        kubernetes_object(f"{logical_name(namespace, name)}-service", manifest, first.cluster.provider, opts)
        return service_address(namespace, name)


def _planned(name: str, args: Mapping[str, Any]) -> list[Planned]:
    count = args.get("replicas", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise pulumi.RunError(f"InferenceSet({name!r}): replicas: {count!r} must be a whole number, 0 or more")
    if args.get("tuning"):
        raise pulumi.RunError(f"InferenceSet({name!r}): tuning: an InferenceSet serves; use a Workspace for tuning")
    return planned_from_args(name, {key: value for key, value in args.items() if key != "replicas"}, count)
