"""The provider plugin: what the Pulumi engine asks, answered as azure-native answers it.

Run by `python -m local_cloud.providers.azure_native`. Source of the order of things in every RPC:
pulumi/pulumi-azure-native provider/pkg/provider/provider.go.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from local_cloud.providers.azure_native import bodies
from local_cloud.providers.azure_native.arm import Arm, Interrupted
from local_cloud.providers.azure_native.checking import AutoNaming, Naming, checked
from local_cloud.providers.azure_native.client import Client
from local_cloud.providers.azure_native.diffing import applied, difference
from local_cloud.providers.azure_native.errors import ArmError
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId
from local_cloud.providers.azure_native.invokes import FUNCTIONS, invoke
from local_cloud.providers.azure_native.resource_types import ResourceType, resource_types
from local_cloud.providers.azure_native.settings import BadSettings
from local_cloud.providers.wire import UNKNOWN, Provider, Secret, abort_init_failed, decode, encode, has_unknown, reveal

GREETING = "azure-native is played by the local cloud's stand-in: nothing is made in Azure"
STABLE = ("name", "location")  # outputs that an update never changes
DEFAULT_TIMEOUT_SECONDS = 7200.0
DiffResponse = provider_pb2.DiffResponse


class AzureNative(Provider):
    """Answers for one run of the engine; the Azure behind it outlives it."""

    name = "azure-native"
    version = version("pulumi-azure-native")

    def __init__(self, instance_dir: str) -> None:
        super().__init__()
        self.client = Client(Arm(instance_dir), self.cancelled, self.log)
        self.config: dict[str, str] = {}
        self._greeted = False

    @property
    def subscription(self) -> str:
        """Configured, from the environment, or the local cloud's own."""
        return self.config.get("subscriptionId") or os.environ.get("ARM_SUBSCRIPTION_ID") or SUBSCRIPTION

    def Configure(self, request: Any, context: Any) -> Any:
        self.config = {name: str(reveal(value)) for name, value in decode(request.args).items() if value is not UNKNOWN}
        if not self._greeted:
            self._greeted = True
            self.log(GREETING)
            threading.Thread(target=bodies.preload, daemon=True).start()
            self.client.tend()
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        with _answering(context):
            auto = request.autonaming if request.HasField("autonaming") else None
            modes = provider_pb2.CheckRequest.AutonamingOptions.Mode
            naming = Naming(
                request.urn.rsplit("::", 1)[-1],
                request.randomSeed,
                AutoNaming(modes.Name(auto.mode), auto.proposed_name) if auto else None,
            )
            old, new = decode(request.olds), decode(request.news)
            inputs, failures = checked(_type(request.urn), old, new, naming, self._default_location)
        reasons = [provider_pb2.CheckFailure(reason=reason) for reason in failures]
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=reasons)

    def Diff(self, request: Any, context: Any) -> Any:
        found = difference(_type(request.urn), decode(request.old_inputs), decode(request.news), decode(request.olds))
        kinds = provider_pb2.PropertyDiff.Kind
        detailed = {
            change.path: provider_pb2.PropertyDiff(
                kind=kinds.Value(change.kind + ("_REPLACE" if change.path in found.replaces else "")), inputDiff=True
            )
            for change in found.changes
        }
        return DiffResponse(
            changes=DiffResponse.DIFF_SOME if found.changes else DiffResponse.DIFF_NONE,
            replaces=sorted(found.replaces),
            diffs=sorted({change.rule.split(".")[0].split("[")[0] for change in found.changes}),
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=found.delete_before_replace,
        )

    def Create(self, request: Any, context: Any) -> Any:
        type, inputs = _type(request.urn), decode(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=encode(_preview_outputs(type, inputs)))
        with _answering(context):
            id = str(type.id(self.subscription, reveal(inputs)))
            body = type.body(reveal(inputs))
            if self.client.exists(id):
                raise FileExistsError(f"cannot create already existing resource '{id}'")
            outputs = self._write(type, id, body, inputs, request, context)
        return provider_pb2.CreateResponse(id=id, properties=encode(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        type, inputs, old = _type(request.urn), decode(request.news), decode(request.olds)
        if request.preview:
            stable = {name: old[name] for name in STABLE if name in old}
            return provider_pb2.UpdateResponse(properties=encode({**_preview_outputs(type, inputs), **stable}))
        with _answering(context):
            id = str(type.id(self.subscription, reveal(inputs)))
            outputs = self._write(type, id, type.body(reveal(inputs)), inputs, request, context)
        return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Read(self, request: Any, context: Any) -> Any:
        type, old, inputs = _type(request.urn), decode(request.properties), decode(request.inputs)
        with _answering(context):
            ResourceId.parse(request.id)
            try:
                response = self.client.get(request.id)
            except ArmError as error:
                if error.status == 404:
                    return provider_pb2.ReadResponse(id="")
                raise
        outputs = type.outputs_of(response)
        if inputs or old:
            before, after = ({n: v for n, v in reveal(bag).items() if n in type.inputs} for bag in (old, outputs))
            inputs = applied(inputs, before, after)
        else:
            inputs = type.inputs_of(response)
        return provider_pb2.ReadResponse(id=request.id, properties=encode(outputs), inputs=encode(inputs))

    def Delete(self, request: Any, context: Any) -> Any:
        with _answering(context):
            self.client.delete(request.id, request.timeout or DEFAULT_TIMEOUT_SECONDS)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        args = decode(request.args)
        with _answering(context):
            if request.tok not in FUNCTIONS:
                raise ValueError(f"Invoke type {request.tok} not found: the stand-in has {', '.join(FUNCTIONS)}")
            if has_unknown(args):
                result = dict.fromkeys(FUNCTIONS[request.tok], UNKNOWN)
            else:
                result = invoke(request.tok, reveal(args), self.client, self.subscription)
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(encode(result))
        return response

    def _write(
        self,
        type: ResourceType,
        id: str,
        body: Mapping[str, Any],
        inputs: dict[str, Any],
        request: Any,
        context: Any,
    ) -> dict[str, Any]:
        """Puts and waits. An operation that was accepted and then failed leaves a resource, recorded with its error."""
        self.client.put(id, body)
        try:
            self.client.wait(id, request.timeout or DEFAULT_TIMEOUT_SECONDS)
            return self._outputs(type, id, inputs)
        except Interrupted as error:
            reason = f"resource created but read failed {error}: {error}"
            abort_init_failed(context, id, {}, inputs, [reason])
        except (ArmError, TimeoutError) as error:
            abort_init_failed(context, id, self._outputs(type, id, inputs), inputs, [str(error)])
        raise AssertionError("aborting raises")

    def _outputs(self, type: ResourceType, id: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the resource is now; what came in as a secret goes out as one."""
        outputs = type.outputs_of(self.client.get(id))
        return {name: Secret(v) if isinstance(inputs.get(name), Secret) else v for name, v in outputs.items()}

    def _default_location(self, group: str) -> str | None:
        if "location" in self.config:
            return self.config["location"]
        try:
            return str(self.client.get(str(ResourceId(self.subscription, group)))["location"]) if group else None
        except ArmError:
            return None


def _type(urn: str) -> ResourceType:
    token = urn.split("::")[2].split("$")[-1]
    return resource_types()[token]


def _preview_outputs(type: ResourceType, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs are echoed; whatever else Azure will answer is unknown, the API version excepted."""
    unknown: dict[str, Any] = dict.fromkeys(type.outputs, UNKNOWN)
    return {**unknown, **{name: value for name, value in inputs.items() if name in type.outputs}}


@contextmanager
def _answering(context: grpc.ServicerContext) -> Iterator[None]:
    """Turns what went wrong into the RPC's error, which the engine prints beside the resource."""
    try:
        yield
    except (ArmError, BadSettings, ValueError, TimeoutError, Interrupted, FileExistsError) as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
