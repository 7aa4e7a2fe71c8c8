"""Pulumi's process for dynamic providers, as the engine starts it, driven over its wire."""

import subprocess
import sys
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import PROVIDER_KEY, serialize_provider
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from local_cloud.providers.wire import decode, encode


class DynamicProcess:
    """One process; `stub` speaks to it. Values cross as the engine sends them: numbers are floats."""

    def __init__(self) -> None:
        command = [sys.executable, "-u", "-m", "pulumi.dynamic", "127.0.0.1:1"]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(command, text=True, **streams)  # type: ignore[call-overload]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{int(self.process.stdout.readline())}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)
        self.stub.Configure(provider_pb2.ConfigureRequest(args={}))

    def check(self, provider: ResourceProvider, props: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """(inputs, reasons of failures)."""
        news = encode(_bag(provider, props))
        answer = self.stub.Check(provider_pb2.CheckRequest(news=news))
        return decode(answer.inputs), [failure.reason for failure in answer.failures]

    def create(self, provider: ResourceProvider, props: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """(id, outputs). Raises what the user would read as `grpc.RpcError.details()`."""
        answer = self.stub.Create(provider_pb2.CreateRequest(properties=encode(_bag(provider, props))), timeout=60)
        return answer.id, decode(answer.properties)

    def update(self, provider: ResourceProvider, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        bags = {"olds": encode(_bag(provider, olds)), "news": encode(_bag(provider, news))}
        return decode(self.stub.Update(provider_pb2.UpdateRequest(id="models/phi", **bags), timeout=60).properties)

    def read(self, provider: ResourceProvider, props: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        request = provider_pb2.ReadRequest(id="models/phi", properties=encode(_bag(provider, props)))
        answer = self.stub.Read(request, timeout=60)
        return answer.id, decode(answer.properties)

    def changes(self, provider: ResourceProvider, olds: dict[str, Any], news: dict[str, Any]) -> bool:
        bags = {"olds": encode(_bag(provider, olds)), "news": encode(_bag(provider, news))}
        answer = self.stub.Diff(provider_pb2.DiffRequest(id="models/phi", **bags), timeout=60)
        return bool(answer.changes == provider_pb2.DiffResponse.DIFF_SOME)

    def cancel(self) -> None:
        self.stub.Cancel(empty_pb2.Empty())

    def hang_up(self) -> int:
        """Does to the process what the end of its engine does; its exit code."""
        self.process.stdin.close()
        self.process.stdin = None
        return int(self.process.wait(timeout=10))

    def output(self) -> str:
        """What the user saw. Ends the process."""
        self.process.kill()
        return str(self.process.communicate()[0])

    def end(self) -> None:
        self.channel.close()
        self.process.kill()
        self.process.communicate()


def _bag(provider: ResourceProvider, props: dict[str, Any]) -> dict[str, Any]:
    return {**props, PROVIDER_KEY: serialize_provider(provider)}
