"""When an object counts as ready, as the real provider judges it; and waiting for that. Called by provider.

Source: pulumi-kubernetes provider/pkg/await (deployment.go, statefulset.go, job.go, service.go).
"""

import threading
import time
from typing import Any

from local_cloud.providers.kubernetes.client import Cluster, Object

DEFAULT_SECONDS = 600.0


class NotReady(Exception):
    """The wait ended without the object being ready; `live` is how it was."""

    def __init__(self, message: str, live: Object) -> None:
        super().__init__(message)
        self.live = live


def must_wait(manifest: Object) -> bool:
    """Whether this object is waited for at all."""
    return _annotation(manifest, "skipAwait") != "true" and manifest["kind"] in {
        "Deployment", "StatefulSet", "Job", "Service",
    }  # fmt: skip


def seconds_to_wait(manifest: Object, timeout: float) -> float:
    """`customTimeouts`, else the annotation, else ten minutes."""
    return timeout or float(_annotation(manifest, "timeoutSeconds") or DEFAULT_SECONDS)


def until_ready(cluster: Cluster, live: Object, seconds: float, cancelled: threading.Event) -> Object:
    """Waits until the object is ready.

    Raises:
        NotReady: it failed, time is up, or the engine cancelled.
    """
    name, reason = live["metadata"]["name"], "not observed yet"
    deadline = time.monotonic() + seconds
    for now in cluster.follow(live, name, deadline):
        if now is None:
            raise NotReady(f"{live['kind']} {name} was deleted while it was waited for", live)
        live = {**now, "kind": live["kind"], "apiVersion": live["apiVersion"]}
        reason = unready(cluster, live)
        if not reason:
            return live
        if reason.startswith("failed"):
            break
        if cancelled.is_set():
            raise NotReady(f"{live['kind']} {name}: cancelled while {reason}", live)
    raise NotReady(f"{live['kind']} {name} is not ready: {reason}", live)


def unready(cluster: Cluster, live: Object) -> str:
    """Why the object is not ready; empty if it is."""
    status, spec = live.get("status") or {}, live.get("spec") or {}
    if status.get("observedGeneration", live["metadata"].get("generation")) != live["metadata"].get("generation"):
        return "the controller has not seen this change yet"
    match live["kind"]:
        case "Deployment":
            wanted = spec.get("replicas", 1)
            done = all(status.get(key, 0) >= wanted for key in ("updatedReplicas", "availableReplicas"))
            return (
                ""
                if done and status.get("replicas", 0) == wanted
                else f"{status.get('availableReplicas', 0)} of {wanted} replicas"
            )
        case "StatefulSet":
            wanted = spec.get("replicas", 1)
            done = status.get("readyReplicas", 0) == wanted and status.get("updateRevision") == status.get(
                "currentRevision"
            )
            return "" if done else f"{status.get('readyReplicas', 0)} of {wanted} replicas"
        case "Job":
            return _job(status)
        case "Service":
            return _service(cluster, live, spec)
    return ""


def _job(status: dict[str, Any]) -> str:
    true = {one["type"]: one for one in status.get("conditions", []) if one["status"] == "True"}
    if "Failed" in true:
        return f"failed: {true['Failed'].get('reason')}: {true['Failed'].get('message')}"
    return "" if "Complete" in true else "still running"


def _service(cluster: Cluster, live: Object, spec: dict[str, Any]) -> str:
    if spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName" or not spec.get("selector"):
        return ""
    if spec.get("type") == "LoadBalancer":
        return "" if (live.get("status") or {}).get("loadBalancer", {}).get("ingress") else "no ingress address yet"
    namespace, name = live["metadata"]["namespace"], live["metadata"]["name"]
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    slices = cluster.call("GET", path, labelSelector=f"kubernetes.io/service-name={name}")["items"]
    ready = any(e.get("conditions", {}).get("ready") for one in slices for e in one.get("endpoints") or [])
    return "" if ready else "no ready endpoint"


def _annotation(manifest: Object, name: str) -> str | None:
    value = ((manifest.get("metadata") or {}).get("annotations") or {}).get(f"pulumi.com/{name}")
    return None if value is None else str(value)
