"""What `python -m local_cloud status` shows. Called by __main__.py."""

from collections.abc import Iterator
from typing import Any

from local_cloud.control_plane import API_SERVER
from local_cloud.instance import Instance, Status
from local_cloud.real import real_nodes

SIMULATED = (
    "Pulumi and Kubernetes are real; the Azure and Kubernetes provider plugins are stand-ins, and simulated nodes "
    "(kwok) run no containers: docs/local-cloud.md says what that means."
)
REAL = (
    "Pulumi, Kubernetes, nodes and containers are real; the Azure and Kubernetes provider plugins are stand-ins, and a "
    "node's GPUs are only a number: docs/local-cloud.md says what that means."
)
NODE_COLUMNS = "  {:<40} {:<10} {:<26} {:>4} {}"


def what_is_real(instance: Instance) -> Iterator[str]:
    """The closing lines of `up` and `status`."""
    yield REAL if instance.has_real_nodes else SIMULATED
    if instance.has_real_nodes:
        registry = real_nodes.environment(instance.folder)
        yield f"registry: {registry['KAITO_LOCAL_REGISTRY']}, login in {registry['REGISTRY_AUTH_FILE']}"


def status_lines(instance: Instance, status: Status) -> Iterator[str]:
    """One line per program, then one per node."""
    yield f"local cloud {instance.name!r}: {'up' if status.is_up else 'not whole'}, {instance.folder}"
    for name, pid in status.processes.items():
        port = status.ports.get(name)
        where = f"127.0.0.1:{port}" if port else ""
        yield f"  {name:<24} {f'pid {pid}' if pid else 'not running':<14} {where}"
    if status.processes[API_SERVER] is None or not status.ready:
        yield f"  the API server does not answer; its log: {instance.folder / API_SERVER}.log"
        return
    yield from _node_lines(_nodes(instance))


def _nodes(instance: Instance) -> list[dict[str, Any]]:
    from local_cloud.nodes import core_api

    with core_api(instance.kubeconfig) as api:
        found: list[dict[str, Any]] = api.api_client.sanitize_for_serialization(api.list_node())["items"]
    return found


def _node_lines(nodes: list[dict[str, Any]]) -> Iterator[str]:
    if not nodes:
        yield "  no nodes: each agent pool of the Azure stand-in brings its own"
        return
    yield NODE_COLUMNS.format("NODE", "STATUS", "VM SIZE", "GPUS", "")
    for node in nodes:
        labels = node["metadata"].get("labels", {})
        conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
        yield NODE_COLUMNS.format(
            node["metadata"]["name"],
            "Ready" if conditions.get("Ready") == "True" else "NotReady",
            labels.get("node.kubernetes.io/instance-type", ""),
            node["status"].get("capacity", {}).get("nvidia.com/gpu", "0"),
            "simulated" if node["metadata"].get("annotations", {}).get("kwok.x-k8s.io/node") == "fake" else "real",
        )
