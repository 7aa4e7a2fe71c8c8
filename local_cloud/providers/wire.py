"""The wire between the Pulumi engine and a provider plugin: property values, and a server that speaks gRPC.

A stand-in subclasses `Provider`, overrides the RPCs it needs, and calls `serve`. Property bags cross as plain
Python values with two additions: `UNKNOWN` for what is not known at preview, `Secret` around what must stay secret.
Source: pulumi/pulumi sdk/proto/pulumi/provider.proto, and the signatures in sdk/go/common/resource/properties.go.
"""

import os
import stat
import sys
import threading
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_VALUES = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
MAX_MESSAGE_BYTES = 400 * 1024 * 1024  # what the engine itself allows
WORKERS = 256  # RPCs at a time: waiting for readiness must never block another resource


class _Unknown:
    """A value that is not known at preview."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that must stay secret; its repr never shows it."""

    value: Any = field(repr=False)


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """The engine's property bag as Python values."""
    return {key: _decode(value) for key, value in struct.fields.items()}


def _decode(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            bag = decode(value.struct_value)
            if bag.get(SIGNATURE) == SECRET_SIGNATURE:
                return Secret(bag["value"])
            if bag.get(SIGNATURE) == OUTPUT_SIGNATURE:
                inner = bag.get("value", UNKNOWN)
                return Secret(inner) if bag.get("secret") else inner
            return bag
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "string_value":
            return UNKNOWN if value.string_value in UNKNOWN_VALUES else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
    return None


def encode(bag: dict[str, Any]) -> struct_pb2.Struct:
    """Python values as the engine's property bag; entries that are None are left out."""
    return struct_pb2.Struct(fields={k: _encode(v) for k, v in bag.items() if v is not None})


def _encode(value: Any) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case _Unknown():
            return struct_pb2.Value(string_value="04da6b54-80e4-46f7-96ec-b56ff0331ba9")
        case Secret(inner):
            return _encode({SIGNATURE: SECRET_SIGNATURE, "value": inner})
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case dict():
            return struct_pb2.Value(struct_value=encode(value))
        case list() | tuple():
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_encode(item) for item in value]))
    raise TypeError(f"a property cannot hold a {type(value).__name__}")


def reveal(value: Any) -> Any:
    """The value with every `Secret` opened: for talking to an API, never for a log."""
    match value:
        case Secret(inner):
            return reveal(inner)
        case dict():
            return {key: reveal(item) for key, item in value.items()}
        case list():
            return [reveal(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Whether anything inside the value is unknown."""
    match value:
        case _Unknown():
            return True
        case Secret(inner):
            return has_unknown(inner)
        case dict():
            return any(has_unknown(item) for item in value.values())
        case list():
            return any(has_unknown(item) for item in value)
    return False


def abort_init_failed(
    context: grpc.ServicerContext, id: str, properties: dict[str, Any], inputs: dict[str, Any], reasons: list[str]
) -> None:
    """Ends the RPC as "created, but not ready": the engine records the resource with these reasons and tries again."""
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=id, properties=encode(properties), inputs=encode(inputs), reasons=reasons
        )
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="; ".join(reasons), details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, "; ".join(reasons))


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """What every stand-in answers the same way. `name` and `version` are the real provider's."""

    name: str
    version: str

    def __init__(self) -> None:
        self.engine: engine_pb2_grpc.EngineStub | None = None
        self.cancelled = threading.Event()

    def attach(self, address: str) -> None:
        """Connects to the engine at `address`, so that `log` reaches the user's screen."""
        self.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def log(self, message: str, urn: str = "", severity: str = "INFO", ephemeral: bool = False) -> None:
        """Shows a message beside the resource `urn` (severity: DEBUG, INFO, WARNING or ERROR)."""
        if self.engine is not None:
            level = engine_pb2.LogSeverity.Value(severity)
            self.engine.Log(engine_pb2.LogRequest(severity=level, message=message, urn=urn, ephemeral=ephemeral))

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self.version)

    def Handshake(self, request: Any, context: Any) -> Any:
        if request.engine_address:
            self.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    def Attach(self, request: Any, context: Any) -> Any:
        self.attach(request.address)
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_UNKNOWN)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    def Cancel(self, request: Any, context: Any) -> Any:
        self.cancelled.set()
        return empty_pb2.Empty()


def serve(provider: Provider) -> None:
    """Serves until the engine goes away: prints the port as the first line, as every plugin does."""
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):  # the engine's; a terminal is somebody looking
        threading.Thread(target=_end_with_engine, daemon=True).start()
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=WORKERS), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    if len(sys.argv) > 1:
        provider.attach(sys.argv[-1])
    print(port, flush=True)
    server.wait_for_termination()


def _end_with_engine() -> None:
    """Ends this process when the engine is gone, even by SIGKILL: it holds the other end of standard input."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)
