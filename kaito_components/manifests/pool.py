"""The AKS agent pool, as azure-native takes it: ARM's properties without the envelope."""

from typing import Any

from kaito_components.plan import Plan


def agent_pool(plan: Plan) -> dict[str, Any]:
    """The inputs of `azure-native:containerservice:AgentPool`, but for resource group and cluster.

    Raises:
        ValueError: the plan makes no pool, because the nodes exist already.
    """
    pool = plan.pool
    if pool is None:
        raise ValueError(f"{plan.name} runs on nodes that exist already: there is no pool to make")
    body: dict[str, Any] = {
        "agentPoolName": pool.name,
        "vmSize": pool.vm_size,
        "count": pool.count,
        "mode": "User",
        "type": "VirtualMachineScaleSets",
        "osType": "Linux",
        "osSKU": pool.os_sku,
        "osDiskSizeGB": pool.os_disk_size_gib,
        "nodeLabels": dict(pool.labels),
        "nodeTaints": list(pool.taints),
    }
    if pool.spot:
        body |= {"scaleSetPriority": "Spot", "scaleSetEvictionPolicy": "Delete", "spotMaxPrice": -1}
    if pool.max_count is not None:
        body |= {"enableAutoScaling": True, "minCount": pool.min_count, "maxCount": pool.max_count}
    if pool.zones:
        body["availabilityZones"] = list(pool.zones)
    return body
