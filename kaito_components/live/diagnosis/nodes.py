"""What can be wrong with the nodes of a Workspace."""

from collections.abc import Iterator

from kaito_components.live.diagnosis.trouble import Trouble, short
from kaito_components.live.snapshot import (
    Goal,
    Object,
    Snapshot,
    condition,
    gpus_of,
    is_ready,
    matching,
    name_of,
    usable,
)

SECONDS_TO_JOIN = 600  # AKS answers for a pool when its machines run; joining takes them a few minutes
SECONDS_TO_BE_READY = 300
SECONDS_FOR_PLUGIN = 300  # driver and device plugin on a fresh node

PRESSURE = {"DiskPressure": "NodeDiskPressure", "MemoryPressure": "NodeMemoryPressure"}


def node_troubles(snapshot: Snapshot, goal: Goal) -> Iterator[Trouble]:
    """Why there are not enough nodes, and nodes that run short of disk or memory."""
    found = matching(snapshot.nodes, goal.node_selector)
    for node in found:
        yield from _pressure(node)
    if len(usable(found, goal)) >= goal.expected_nodes:
        return
    for node in found:
        if not is_ready(node):
            yield _not_ready(node)
        elif gpus_of(node, goal) < goal.gpus_per_node:
            yield _without_gpus(node, goal)
    if len(found) < goal.expected_nodes:
        yield Trouble(
            f"Nodes with {goal.nodes_text}",
            "NodeNotReady",
            f"{len(found)} of {goal.expected_nodes} have joined the cluster",
            "Check the node pool, and its machines' way to the API server (az aks nodepool list); "
            "nodes of your own need these labels",
            SECONDS_TO_JOIN,
        )


def _not_ready(node: Object) -> Trouble:
    ready = condition(node, "Ready")
    said = ": ".join(part for part in (ready.get("reason", ""), short(ready.get("message", ""))) if part)
    way_out = f"See kubectl describe node {name_of(node)}"
    message = f"it is not Ready: {said or 'its kubelet has not reported yet'}"
    return Trouble(f"Node {name_of(node)}", "NodeNotReady", message, way_out, SECONDS_TO_BE_READY)


def _without_gpus(node: Object, goal: Goal) -> Trouble:
    return Trouble(
        f"Node {name_of(node)}",
        "NodePluginsNotReady",
        f"it offers {gpus_of(node, goal)} of {goal.gpus_per_node} {goal.gpu_resource}",
        "Check that the NVIDIA driver and device plugin run on it; a taint they do not tolerate keeps them away",
        SECONDS_FOR_PLUGIN,
    )


def _pressure(node: Object) -> Iterator[Trouble]:
    for kind, reason in PRESSURE.items():
        if (found := condition(node, kind)).get("status") == "True":
            message = short(found.get("message", kind))
            yield Trouble(f"Node {name_of(node)}", reason, message, "Choose a size with more, or free some on the node")
