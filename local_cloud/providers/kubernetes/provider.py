"""The RPCs of the stand-in: Check, Diff, Create, Read, Update, Delete of Kubernetes objects."""

import base64
import hashlib
import secrets
import threading
import time
from importlib.metadata import version
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from local_cloud.providers import wire
from local_cloud.providers.kubernetes import awaits, diff
from local_cloud.providers.kubernetes.client import ApiError, Cluster, Object, Unreachable
from local_cloud.providers.wire import Secret, decode, encode, has_unknown, reveal

SETTINGS = {
    "kubeconfig", "context", "cluster", "namespace", "clusterIdentifier", "enableServerSideApply",
    "upsertExistingObjects", "enablePatchForce",
    "enableConfigMapMutable", "enableSecretMutable", "suppressDeprecationWarnings", "version", "pluginDownloadURL",
}  # fmt: skip
AUTONAMED = "pulumi.com/autonamed"
SERVER_METADATA = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")
KINDS = {
    "add": provider_pb2.PropertyDiff.ADD,
    "update": provider_pb2.PropertyDiff.UPDATE,
    "delete": provider_pb2.PropertyDiff.DELETE,
    "add replace": provider_pb2.PropertyDiff.ADD_REPLACE,
    "update replace": provider_pb2.PropertyDiff.UPDATE_REPLACE,
    "delete replace": provider_pb2.PropertyDiff.DELETE_REPLACE,
}
UNREACHABLE = "configured Kubernetes cluster is unreachable: unable to load schema information from the API server"


class KubernetesProvider(wire.Provider):
    """Stands in for pulumi-kubernetes."""

    name = "kubernetes"

    def __init__(self) -> None:
        super().__init__()
        self.version = version("pulumi-kubernetes")
        self._settings: dict[str, Any] = {}
        self._cluster: Cluster | None = None
        self._lock = threading.Lock()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        failures = [
            provider_pb2.CheckFailure(property=key, reason=f"{key} is not supported by the stand-in for kubernetes")
            for key in decode(request.news)
            if key not in SETTINGS
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """Another cluster replaces the provider; another kubeconfig of the same cluster does not."""
        old, new = reveal(decode(request.olds)), reveal(decode(request.news))
        identity = "clusterIdentifier" if new.get("clusterIdentifier") or old.get("clusterIdentifier") else "cluster"
        replaced = [identity] if old.get(identity) != new.get(identity) else []
        some = provider_pb2.DiffResponse.DIFF_SOME if old != new else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, replaces=replaced)

    def Configure(self, request: Any, context: Any) -> Any:
        self._settings = decode(request.args)
        self.log("kubernetes: a stand-in of local_cloud, talking to the real API server")
        return super().Configure(request, context)

    def Check(self, request: Any, context: Any) -> Any:
        old, new = decode(request.olds), decode(request.news)
        api_version, kind = _type(request.urn)
        if kind.endswith("Patch") or kind.endswith("List"):
            reason = f"{kind} is not supported by the stand-in for kubernetes"
            return provider_pb2.CheckResponse(failures=[provider_pb2.CheckFailure(property="kind", reason=reason)])
        new |= {"apiVersion": api_version, "kind": kind}
        metadata = new.setdefault("metadata", {})
        if isinstance(metadata, dict):
            self._name(request.urn, metadata, (old.get("metadata") or {}) if old else {})
            space = self._namespace(api_version, kind)
            if space and not metadata.get("namespace"):
                metadata["namespace"] = space
        return provider_pb2.CheckResponse(inputs=encode(new))

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = decode(request.old_inputs), decode(request.news)
        shown_old, shown_new = reveal(old), reveal(new)
        mutable = frozenset(k for k in ("ConfigMap", "Secret") if self._flag(f"enable{k}Mutable"))
        detailed, replaced = {}, []
        for path, kind in diff.changes(shown_old, shown_new):
            needs = diff.replaces(new["kind"], path, mutable)
            replaced += [path] if needs else []
            detailed[path] = provider_pb2.PropertyDiff(kind=KINDS[f"{kind} replace" if needs else kind], inputDiff=True)
        autonamed = ((shown_new.get("metadata") or {}).get("annotations") or {}).get(AUTONAMED) == "true"
        same = provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if detailed else same,
            replaces=replaced,
            diffs=sorted({path.split(".")[0].split("[")[0] for path in detailed}),
            detailedDiff=detailed,
            hasDetailedDiff=bool(detailed),
            deleteBeforeReplace=bool(replaced) and not autonamed,
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = decode(request.properties)
        manager = _manager(request.urn)
        if request.preview:
            outputs = self._dry_run(inputs, manager, request.urn, context)
            return provider_pb2.CreateResponse(id="", properties=encode(outputs))
        manifest = _manifest(inputs)
        with _errors(self, manifest, context):
            cluster = self._connect()
            if not self._flag("upsertExistingObjects") and cluster.get(manifest, manifest["metadata"]["name"]):
                raise ApiError(409, f"{manifest['kind']} {_id(manifest)} already exists")
            live = cluster.apply(manifest, manager, force=self._forces(manifest))
            live = self._wait(cluster, manifest, live, inputs, request, context)
        return provider_pb2.CreateResponse(id=_id(manifest), properties=encode(_outputs(live, inputs, manager)))

    def Update(self, request: Any, context: Any) -> Any:
        inputs = decode(request.news)
        manager = decode(request.olds).get("__fieldManager") or _manager(request.urn)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=encode(self._dry_run(inputs, manager, request.urn, context)))
        manifest = _manifest(inputs)
        with _errors(self, manifest, context):
            cluster = self._connect()
            diff.leave_out(
                manifest, request.ignoreChanges, cluster.get(manifest, manifest["metadata"]["name"]), manager
            )
            live = cluster.apply(manifest, manager, force=self._forces(manifest))
            live = self._wait(cluster, manifest, live, inputs, request, context)
        return provider_pb2.UpdateResponse(properties=encode(_outputs(live, inputs, manager)))

    def Read(self, request: Any, context: Any) -> Any:
        api_version, kind = _type(request.urn)
        inputs = decode(request.inputs)
        namespace, _, name = request.id.rpartition("/")
        wanted: Object = {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace, "name": name}}
        with _errors(self, wanted, context):
            live = self._connect().get(wanted, name)
        if live is None:
            return provider_pb2.ReadResponse()
        live |= {"apiVersion": api_version, "kind": kind}
        read = _like(live, inputs) if inputs else _imported(live)
        manager = decode(request.properties).get("__fieldManager") or _manager(request.urn)
        outputs = _outputs(live, inputs, manager)
        return provider_pb2.ReadResponse(id=request.id, properties=encode(outputs), inputs=encode(read))

    def Delete(self, request: Any, context: Any) -> Any:
        manifest = _manifest(decode(request.properties))
        name = manifest["metadata"]["name"]
        note = (manifest["metadata"].get("annotations") or {}).get("pulumi.com/deletionPropagationPolicy", "foreground")
        with _errors(self, manifest, context):
            cluster = self._connect()
            live = cluster.get(manifest, name)
            if live is None:
                return empty_pb2.Empty()
            body = {"propagationPolicy": str(note).capitalize(), "preconditions": {"uid": live["metadata"]["uid"]}}
            try:
                cluster.call("DELETE", cluster.path(manifest, name), body)
            except ApiError as refused:
                if refused.code != 404:
                    raise
            self._until_gone(cluster, manifest, live, request.timeout or awaits.DEFAULT_SECONDS)
        return empty_pb2.Empty()

    def _until_gone(self, cluster: Cluster, manifest: Object, live: Object, seconds: float) -> None:
        name, uid = manifest["metadata"]["name"], live["metadata"]["uid"]
        for now in cluster.follow(manifest, name, time.monotonic() + seconds):
            if now is None or now["metadata"]["uid"] != uid:
                return
            if self.cancelled.is_set():
                break
        raise ApiError(504, f"{manifest['kind']} {_id(manifest)} is still being deleted")

    def _wait(
        self, cluster: Cluster, manifest: Object, live: Object, inputs: Object, request: Any, context: Any
    ) -> Object:
        live |= {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"]}
        if not awaits.must_wait(manifest):
            return live
        try:
            return awaits.until_ready(cluster, live, awaits.seconds_to_wait(manifest, request.timeout), self.cancelled)
        except awaits.NotReady as unready:
            outputs = _outputs(unready.live, inputs, _manager(request.urn))
            wire.abort_init_failed(context, _id(manifest), outputs, inputs, [str(unready)])
            raise AssertionError("abort_init_failed always raises") from None

    def _dry_run(self, inputs: Object, manager: str, urn: str, context: Any) -> Object:
        """What the API server would make of it; what was asked for, where it cannot be asked."""
        kubeconfig = self._settings.get("kubeconfig")
        if has_unknown(inputs) or has_unknown(kubeconfig):
            return inputs
        manifest = _manifest(inputs)
        try:
            live = self._connect().apply(manifest, manager, force=True, dry_run=True)
        except Unreachable as problem:
            self.log(f"{UNREACHABLE}: {problem}", urn, "WARNING")
            return inputs
        except ApiError as refused:
            # 404: its namespace comes with this same update; 403: no right to try; 422 and 409 on an immutable field: a
            # replacement, whose create is tried while the old object still stands.
            if refused.code in (403, 404, 409) or (refused.code == 422 and "immutable" in str(refused)):
                return inputs
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, _redact(manifest, str(refused)))
        return _outputs(live | {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"]}, inputs, manager)

    def _connect(self) -> Cluster:
        with self._lock:
            if self._cluster is None:
                kubeconfig = reveal(self._settings.get("kubeconfig")) or "~/.kube/config"
                try:
                    self._cluster = Cluster(kubeconfig, reveal(self._settings.get("context")))
                except Exception as problem:
                    raise Unreachable(f"the kubeconfig cannot be used: {type(problem).__name__}") from None
            return self._cluster

    def _namespace(self, api_version: str, kind: str) -> str | None:
        """The namespace of an object that names none, if its kind has namespaces and the cluster can be asked."""
        if has_unknown(self._settings.get("kubeconfig")):
            return None
        try:
            namespaced = self._connect().resource(api_version, kind)["namespaced"]
        except (ApiError, Unreachable):
            return None
        return (self._settings.get("namespace") or "default") if namespaced else None

    def _name(self, urn: str, metadata: Object, old: Object) -> None:
        """Auto-naming: the logical name and eight hex digits, kept from then on."""
        if metadata.get("name") is not None or metadata.get("generateName"):
            return
        annotations = metadata.setdefault("annotations", {})
        was = (old.get("annotations") or {}).get(AUTONAMED) == "true" and old.get("name")
        metadata["name"] = was or f"{urn.rsplit('::', 1)[-1].lower()}-{secrets.token_hex(4)}"
        annotations[AUTONAMED] = "true"

    def _forces(self, manifest: Object) -> bool:
        """Whether fields that others manage are taken over; a difference about them is a conflict otherwise."""
        note = (manifest["metadata"].get("annotations") or {}).get("pulumi.com/patchForce")
        return note == "true" or self._flag("enablePatchForce")

    def _flag(self, name: str) -> bool:
        return self._settings.get(name) in (True, "true")


class _errors:
    """Turns refusals into the RPC's error, with nothing of a Secret in it."""

    def __init__(self, provider: KubernetesProvider, manifest: Object, context: Any) -> None:
        self.manifest, self.context = manifest, context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, problem: Any, trace: Any) -> None:
        if isinstance(problem, Unreachable):
            self.context.abort(grpc.StatusCode.UNAVAILABLE, f"{UNREACHABLE}: {problem}")
        if isinstance(problem, ApiError):
            self.context.abort(grpc.StatusCode.UNKNOWN, _redact(self.manifest, str(problem)))


def _redact(manifest: Object, message: str) -> str:
    """The API server may repeat values in its refusal; for a Secret only kind and name are said."""
    if manifest["kind"] == "Secret":
        return f"the API server refused Secret {_id(manifest)}; its answer may hold values and is not shown"
    return message


def _type(urn: str) -> tuple[str, str]:
    """apiVersion and kind of a URN's type, such as kubernetes:core/v1:Service."""
    token = urn.split("::")[2].split("$")[-1]
    _, api_version, kind = token.split(":")
    return api_version.removeprefix("core/"), kind


def _manager(urn: str) -> str:
    """One field manager a resource. The real provider's ends at random; this one survives an interrupted create."""
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"


def _manifest(inputs: Object) -> Object:
    plain: Object = reveal(inputs)
    return {key: value for key, value in plain.items() if not key.startswith("__") and key != "status"}


def _id(manifest: Object) -> str:
    metadata = manifest["metadata"]
    return "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)


def _outputs(live: Object, inputs: Object, manager: str) -> Object:
    """The live object as outputs: what was secret stays secret, and so does every Secret's content."""
    outputs: Object = dict(live)
    metadata = {key: value for key, value in outputs["metadata"].items() if key != "managedFields"}
    outputs["metadata"] = metadata
    secret = {key for key, value in inputs.items() if _holds_secret(value)}
    if live["kind"] == "Secret":
        secret |= {"data", "stringData"}
    for key in secret & outputs.keys():
        outputs[key] = Secret(outputs[key])
    return {**outputs, "__fieldManager": manager}


def _holds_secret(value: Any) -> bool:
    match value:
        case Secret():
            return True
        case dict():
            return any(_holds_secret(item) for item in value.values())
        case list():
            return any(_holds_secret(item) for item in value)
    return False


def _like(live: Object, inputs: Object) -> Object:
    """The live object in the shape of the inputs, so that what was changed by hand shows as a difference."""
    plain = reveal(inputs)
    if live["kind"] == "Secret" and "stringData" in plain:
        data = {k: base64.b64decode(v).decode(errors="replace") for k, v in (live.get("data") or {}).items()}
        live = {**live, "stringData": data}
    found: Object = diff.project(live, plain)
    return {key: Secret(value) if _holds_secret(inputs[key]) else value for key, value in found.items()}


def _imported(live: Object) -> Object:
    kept = {key: value for key, value in live.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in live["metadata"].items() if key not in SERVER_METADATA}
    if live["kind"] == "Secret":
        kept["data"] = Secret(live.get("data"))
    return kept
