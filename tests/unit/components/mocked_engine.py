"""A program of ours under Pulumi's mocks: what it registers, in order, with the options that mocks leave out."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc

KUBECONFIG = "apiVersion: v1\nkind: Config\n# of the mocked cluster\n"
CLUSTER_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"


@dataclass(frozen=True)
class Registered:
    """One registration: its type without the package's path, name, inputs, and the options that matter here."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    provider: str
    depends_on: tuple[str, ...]
    import_id: str
    request: Any = field(repr=False)


class Cloud(mocks.Mocks):
    """An AKS cluster with the pools in `pools`; everything that is registered comes into being as asked for."""

    def __init__(self, preview: bool) -> None:
        self.preview = preview
        self.pools: list[dict[str, Any]] = []
        self.calls: list[str] = []

    def call(self, args: mocks.MockCallArgs) -> Any:
        self.calls.append(args.token.split(":")[-1])
        if args.token.endswith("getManagedCluster"):
            if args.args["resourceName"] == "missing":
                return {}, [("resourceName", "ResourceNotFound")]
            return {"id": CLUSTER_ID, "location": "eastus", "agentPoolProfiles": self.pools}
        value = base64.b64encode(KUBECONFIG.encode()).decode()
        return {"kubeconfigs": [{"name": "clusterUser", "value": value}]}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs = dict(args.inputs)
        if args.typ.endswith("WorkspaceReady") and not self.preview:
            outputs["status"] = {"workspaceReady": True}
        return ("" if self.preview else f"{args.name}-id"), outputs


class Recorder(mocks.MockMonitor):
    """Keeps each registration as it reached the engine."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.registered: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)
        self.registered.append(
            Registered(
                answer.urn, request.type, request.name, rpc.deserialize_properties(request.object), request.parent,
                request.provider, tuple(request.dependencies), request.importId, request,
            )
        )  # fmt: skip
        return answer


@dataclass
class Mocked:
    """Runs programs; afterwards `registered` says what they registered."""

    cloud: Cloud
    registered: list[Registered] = field(default_factory=list)

    def run(self, program: Callable[[], Any], config: dict[str, str] | None = None) -> list[Registered]:
        recorder = Recorder(self.cloud)
        mocks.set_mocks(self.cloud, project="kaito", stack="test", preview=self.cloud.preview, monitor=recorder)
        pulumi.runtime.set_all_config(config or {})
        pulumi.runtime.test(program)()
        self.registered = [one for one in recorder.registered if one.type != "pulumi:pulumi:Stack"]
        return self.registered

    def of(self, type: str) -> list[Registered]:
        """The registrations of a type, which is named by its end."""
        return [one for one in self.registered if one.type.endswith(type)]

    def one(self, type: str) -> Registered:
        (found,) = self.of(type)
        return found
