"""The Services of a Workspace: one under its name, and a headless one where pods must find each other."""

from typing import Any

from kaito_components import names
from kaito_components.manifests.metadata import metadata
from kaito_components.plan import Plan


def services(plan: Plan) -> list[dict[str, Any]]:
    """The Service `<workspace>` (80 and 29500) and, for more than one pod, `<workspace>-headless`."""
    selector = {names.WORKSPACE_LABEL: plan.name}
    leader = {"apps.kubernetes.io/pod-index": "0"} if plan.node_count > 1 else {}
    balanced = plan.spec.annotations.get(names.LOAD_BALANCER_ANNOTATION, "").lower() == "true"
    front = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan, plan.name),
        "spec": {
            "type": "LoadBalancer" if balanced else "ClusterIP",
            "selector": {**selector, **leader},
            "ports": [
                {"name": "http", "protocol": "TCP", "port": names.HTTP_PORT, "targetPort": names.SERVER_PORT},
                {"name": "torch", "protocol": "TCP", "port": names.TORCH_PORT, "targetPort": names.TORCH_PORT},
            ],
        },
    }
    if plan.node_count == 1:
        return [front]
    headless = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(plan, names.headless_name(plan.name)),
        "spec": {"clusterIP": "None", "selector": selector, "publishNotReadyAddresses": True},
    }
    return [front, headless]
