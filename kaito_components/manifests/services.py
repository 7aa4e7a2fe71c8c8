"""The Services of a Workspace: one under its name, and a headless one where pods must find each other."""

from typing import Any

from kaito_components import names
from kaito_components.manifests.metadata import metadata
from kaito_components.plan import Plan


def services(plan: Plan) -> list[dict[str, Any]]:
    """The Service `<workspace>` (80 and 29500) and, for more than one pod, `<workspace>-headless`."""
    part = {names.PART_LABEL: names.SERVING_PART} if plan.serving else {}
    selector = {names.WORKSPACE_LABEL: plan.name, **part}
    front = _front(
        metadata(plan, plan.name), {**selector, **_leader(plan)}, is_public(plan) and not plan.spec.inference_set
    )
    front["spec"]["ports"].append(
        {"name": "torch", "protocol": "TCP", "port": names.TORCH_PORT, "targetPort": names.TORCH_PORT}
    )
    if plan.node_count == 1:
        return [front]
    headless = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan, names.headless_name(plan.name)),
        "spec": {"clusterIP": "None", "selector": selector, "publishNotReadyAddresses": True},
    }
    return [front, headless]


def set_service(plan: Plan) -> dict[str, Any]:
    """The Service of the InferenceSet whose first replica is planned: over the servers of all replicas."""
    name = plan.spec.inference_set
    described = {
        "name": name,
        "namespace": plan.namespace,
        "labels": {names.INFERENCE_SET_LABEL: name, **names.OWN_LABELS},
        "annotations": {"pulumi.com/skipAwait": "true"},
    }
    return _front(described, {names.INFERENCE_SET_LABEL: name, **_leader(plan)}, is_public(plan))


def _leader(plan: Plan) -> dict[str, str]:
    """On several nodes only the first pod has a server."""
    return {"apps.kubernetes.io/pod-index": "0"} if plan.node_count > 1 else {}


def is_public(plan: Plan) -> bool:
    """Whether the user wants a load balancer."""
    return plan.spec.annotations.get(names.LOAD_BALANCER_ANNOTATION, "").lower() == "true"


def _front(described: dict[str, Any], selector: dict[str, str], balanced: bool) -> dict[str, Any]:
    port = {"name": "http", "protocol": "TCP", "port": names.HTTP_PORT, "targetPort": names.SERVER_PORT}
    kind = "LoadBalancer" if balanced else "ClusterIP"
    spec = {"type": kind, "selector": selector, "ports": [port]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": described, "spec": spec}
