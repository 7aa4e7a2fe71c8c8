"""A cluster in an Azure of a test's own, and the stand-in's process spoken to as the engine does."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from local_cloud.providers.azure_native import Arm
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId
from local_cloud.providers.wire import decode, encode

GPU_SIZE = "Standard_NC24ads_A100_v4"
TYPES = {"ResourceGroup": "resources", "ManagedCluster": "containerservice", "AgentPool": "containerservice"}
SYSTEM = {"name": "system", "count": 1, "vmSize": "Standard_D4s_v5", "mode": "System"}


@dataclass
class Azure:
    """A cluster of a test's own, `name` in resource group `name` of region eastus, in the Azure of `folder`."""

    folder: Path
    name: str

    @property
    def arm(self) -> Arm:
        return Arm(self.folder)

    @property
    def cluster_id(self) -> str:
        return str(ResourceId(SUBSCRIPTION, self.name, self.name))

    def pool_id(self, pool: str = "gpu") -> str:
        return f"{self.cluster_id}/agentPools/{pool}"

    def put(self, pool: str = "gpu", **properties: Any) -> dict[str, Any]:
        """Makes or changes a pool, waits for it, and returns its properties."""
        self.begin(pool, **properties)
        self.arm.wait(self.pool_id(pool))
        return self.pool(pool)

    def begin(self, pool: str = "gpu", **properties: Any) -> None:
        self.arm.put(self.pool_id(pool), {"properties": {"vmSize": GPU_SIZE, **properties}})

    def inject(self, code: str | None = None, **fault: Any) -> None:
        """Arms a fault for this cluster alone."""
        self.arm.inject(code, cluster=self.name, **fault)

    def pool(self, pool: str = "gpu") -> dict[str, Any]:
        return self.arm.pools(self.name, self.name)[pool]


@dataclass
class Plugin:
    """The stand-in's own process, spoken to as the engine does."""

    process: subprocess.Popen[str]
    stub: provider_pb2_grpc.ResourceProviderStub
    azure: Azure

    def inputs(self, pool: str = "gpu", **inputs: Any) -> dict[str, Any]:
        """Inputs of an AgentPool, as Check leaves them."""
        named = {"resourceGroupName": self.azure.name, "resourceName": self.azure.name, "agentPoolName": pool}
        return {**named, "vmSize": GPU_SIZE, "count": 0, "azureApiVersion": "2025-09-01", **inputs}

    def check(self, kind: str, news: dict[str, Any], olds: dict[str, Any] | None = None, name: str = "res") -> Any:
        request = provider_pb2.CheckRequest(urn=urn(kind, name), news=encode(news), olds=encode(olds or {}))
        return self.stub.Check(request)

    def diff(self, kind: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
        request = provider_pb2.DiffRequest(
            urn=urn(kind), olds=encode(old), old_inputs=encode(old), news=encode(new)
        )  # fmt: skip
        return self.stub.Diff(request)

    def create(self, inputs: dict[str, Any], kind: str = "AgentPool", preview: bool = False, timeout: float = 0) -> Any:
        request = provider_pb2.CreateRequest(
            urn=urn(kind), properties=encode(inputs), preview=preview, timeout=timeout
        )  # fmt: skip
        return self.stub.Create(request)

    def update(self, id: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
        request = provider_pb2.UpdateRequest(
            id=id, urn=urn("AgentPool"), olds=encode(old), old_inputs=encode(old), news=encode(new)
        )
        return self.stub.Update(request)

    def read(self, id: str, inputs: dict[str, Any] | None = None, outputs: dict[str, Any] | None = None) -> Any:
        request = provider_pb2.ReadRequest(
            id=id, urn=urn("AgentPool"), inputs=encode(inputs or {}), properties=encode(outputs or {})
        )
        return self.stub.Read(request)

    def delete(self, id: str) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(id=id, urn=urn("AgentPool")))

    def invoke(self, function: str, **args: Any) -> dict[str, Any]:
        token = f"azure-native:{function}"
        answer = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=encode(args)))
        return decode(getattr(answer, "return"))


def urn(kind: str, name: str = "res") -> str:
    return f"urn:pulumi:dev::project::azure-native:{TYPES[kind]}:{kind}::{name}"


def init_failed(error: grpc.RpcError) -> Any:
    """What the engine learns of a resource that is there but not well; None if it learns nothing."""
    metadata = dict(error.trailing_metadata())
    if "grpc-status-details-bin" not in metadata:
        return None
    detail = provider_pb2.ErrorResourceInitFailed()
    status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details[0].Unpack(detail)
    return detail


class started_plugin:
    """A plugin process for a `with` block; it is killed at the end."""

    def __init__(self, azure: Azure) -> None:
        self.azure = azure

    def __enter__(self) -> Plugin:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local_cloud.providers.azure_native"],
            env={**os.environ, "KAITO_LOCAL_CLOUD": str(self.azure.folder)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.channel = grpc.insecure_channel(f"127.0.0.1:{int(self.process.stdout.readline())}")
        stub = provider_pb2_grpc.ResourceProviderStub(self.channel)
        stub.Handshake(provider_pb2.ProviderHandshakeRequest())
        stub.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True, args=encode({})))
        stub.GetPluginInfo(empty_pb2.Empty())
        return Plugin(self.process, stub, self.azure)

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.process.kill()
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
