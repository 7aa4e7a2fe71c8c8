"""The NetworkPolicy of a Workspace: who may ask its server, and where its pods may go. Called by network.

Rules name ports, not addresses: a NetworkPolicy knows no names of hosts.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from kaito_components import names
from kaito_components.manifests.metadata import metadata
from kaito_components.manifests.services import is_public
from kaito_components.plan import Plan

DNS, HTTPS = 53, 443
API_SERVER = 6443  # where clusters other than AKS have it behind the Service's 443
NAMESPACE = "kubernetes.io/metadata.name"  # Kubernetes' own label of each namespace


def is_guarded(plan: Plan) -> bool:
    """Whether its pods are ours: what a pod of the user's own needs, only the user knows."""
    return plan.preset is not None


def network_policy(plan: Plan, namespaces: Sequence[str]) -> dict[str, Any]:
    """For all pods of a Workspace, the Job's and the server's.

    Args:
        plan: the plan.
        namespaces: names of others than its own from which the server may be asked.
    """
    own = {"podSelector": {"matchLabels": {names.WORKSPACE_LABEL: plan.name}}}
    clients: list[dict[str, Any]] = [{"podSelector": {}}]
    if namespaces:
        chosen = {"key": NAMESPACE, "operator": "In", "values": list(namespaces)}
        clients.append({"namespaceSelector": {"matchExpressions": [chosen]}})
    asked: dict[str, Any] = {"ports": _ports([names.SERVER_PORT])}
    if not is_public(plan):  # a load balancer's clients come from anywhere
        asked["from"] = clients
    dns = [{"protocol": protocol, "port": DNS} for protocol in ("UDP", "TCP")]
    among = plan.node_count > 1  # the pods of one model that is spread over nodes
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan, plan.name),
        "spec": {
            **own,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [asked, *([{"from": [own]}] if among else [])],
            "egress": [{"ports": dns}, {"ports": _ports(outside(plan))}, *([{"to": [own]}] if among else [])],
        },
    }


def outside(plan: Plan) -> list[int]:
    """Ports that the pods ask: of hub, registries and data, and of the API server where a Job scales."""
    wanted = {HTTPS, *map(_registry_port, _images(plan))}
    if plan.serving:
        wanted |= {API_SERVER, *outside(plan.serving)}
    if plan.spec.tuning:
        wanted |= {_url_port(url) for url in plan.spec.tuning.input.urls}
    return sorted(wanted)


def _images(plan: Plan) -> Iterable[str]:
    """What init containers pull and a Job pushes; the containers' own images are the node's business."""
    if plan.weights.kind == "image":
        yield plan.weights.reference
    if tuning := plan.spec.tuning:
        yield from filter(None, (tuning.input.image, tuning.output.image))
    if inference := plan.spec.inference:
        yield from (adapter.source.image for adapter in inference.adapters if adapter.source.image)


def _registry_port(image: str) -> int:
    found = re.match(r"[^/]+:(\d+)/", image)
    return int(found[1]) if found else HTTPS


def _url_port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (80 if parts.scheme == "http" else HTTPS)


def _ports(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": number} for number in numbers]
