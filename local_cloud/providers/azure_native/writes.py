"""What a write makes of the state, or why Azure refuses it. Called by arm.py while it holds the state."""

from collections.abc import Mapping
from typing import Any

from local_cloud.providers.azure_native import cluster_rules, pool_rules
from local_cloud.providers.azure_native.cluster_rules import KUBERNETES_VERSION
from local_cloud.providers.azure_native.errors import ArmError, bad_parameter, group_not_found, parent_not_found
from local_cloud.providers.azure_native.ids import ResourceId
from local_cloud.providers.azure_native.machines import node_image_version
from local_cloud.providers.azure_native.settings import Settings, normal_location
from local_cloud.providers.azure_native.state import Resource, State
from local_cloud.providers.azure_native.vm_sizes import VmSize, find_vm_size


def refuse_missing_parent(state: State, id: ResourceId) -> None:
    if id.cluster and state.get(id.group_id) is None:
        raise group_not_found(id.group)
    if id.pool and state.get(id.cluster_id) is None:
        raise parent_not_found(str(id.cluster_id))


def refuse_busy(state: State, id: ResourceId) -> None:
    """One operation on a cluster and its pools at a time.

    Source of the words: cilium/cilium#25944, Azure/terraform-azurerm-avm-ptn-aks-production#25.
    """
    if not id.cluster:
        return
    for resource in state.under(id.cluster_id):
        if resource["operation"] is not None:
            other, kind = ResourceId.parse(resource["id"]), resource["operation"]["kind"]
            what = f"agentpool operation ({other.pool} - {kind})" if other.pool else f"operation ({kind})"
            message = (
                f"Operation is not allowed: Another {what} is in progress, please wait for it to finish before "
                "starting a new operation. See https://aka.ms/aks-pending-operation for more details"
            )
            raise ArmError(409, "OperationNotAllowed", message)


def refuse_last_system_pool(state: State, id: ResourceId) -> None:
    pools = state.pools(id.cluster_id) if id.pool else []
    system = [pool["id"].lower() for pool in pools if pool["body"]["properties"]["mode"].lower() == "system"]
    if system == [id.key]:
        raise ArmError(400, "OperationNotAllowed", "There has to be at least one system agent pool.")


def written(state: State, id: ResourceId, body: Mapping[str, Any], settings: Settings) -> list[Resource]:
    """The resource, and for a cluster its pools, as the request makes them; nothing is changed yet."""
    if id.kind == "AgentPool":
        return [_written_pool(state, id, body, settings, state.location(id))]
    if id.kind == "ManagedCluster":
        return _written_cluster(state, id, body, settings)
    old = state.get(id)
    cluster_rules.refuse_other_location(id, body, old["body"] if old else None)
    location = normal_location(body["location"])
    return [_resource(id, old, {**body, "location": location, "properties": {}})]


def _written_cluster(state: State, id: ResourceId, body: Mapping[str, Any], settings: Settings) -> list[Resource]:
    old = state.get(id)
    if "location" not in body:
        raise bad_parameter("location", "it is required")
    names = {ResourceId.parse(pool["id"]).name for pool in state.pools(id)}
    cluster_rules.refuse_bad_cluster(id, body, names, old is not None)
    cluster = _resource(id, old, cluster_rules.completed_cluster(id, body, old["body"] if old else None))
    pools = []
    for profile in body["properties"].get("agentPoolProfiles") or []:
        pool_id = ResourceId(id.subscription, id.group, id.cluster, profile["name"])
        properties = {name: value for name, value in profile.items() if name != "name"}
        location = cluster["body"]["location"]
        pools.append(_written_pool(state, pool_id, {"properties": properties}, settings, location))
    return [cluster, *pools]


def _written_pool(state: State, id: ResourceId, body: Mapping[str, Any], settings: Settings, location: str) -> Resource:
    old, region = state.get(id), settings.region(location)
    old_properties = old["body"]["properties"] if old else None
    pool_rules.refuse_bad_name(id.name)
    if old_properties is not None:
        pool_rules.refuse_change_of_fixed(old_properties, body["properties"])
    properties = pool_rules.completed(body["properties"], old_properties)
    size = pool_rules.refuse_bad_pool(properties, region, location)
    spot = pool_rules.is_spot(properties)
    before = old_properties["count"] if old_properties else 0
    if properties["count"] > before:
        used = _used_vcpus(state, id.subscription, pool_rules.quota_family(size, spot), location)
        needed = (properties["count"] - before) * size.vcpus
        pool_rules.refuse_above_quota(needed, used, size, spot, region, location)
    properties.setdefault("orchestratorVersion", KUBERNETES_VERSION)
    properties["currentOrchestratorVersion"] = KUBERNETES_VERSION
    properties["nodeImageVersion"] = node_image_version(properties["osSKU"])
    return _resource(id, old, {"properties": properties})


def _used_vcpus(state: State, subscription: str, family: str, location: str) -> int:
    """What all pools of the subscription in the region hold of one quota."""
    used = 0
    for resource in state.resources.values():
        id = ResourceId.parse(resource["id"])
        if id.pool and id.subscription == subscription and state.location(id) == location:
            properties = resource["body"]["properties"]
            size: VmSize | None = find_vm_size(properties["vmSize"])
            if size and pool_rules.quota_family(size, pool_rules.is_spot(properties)) == family:
                used += properties["count"] * size.vcpus
    return used


def _resource(id: ResourceId, old: Resource | None, body: dict[str, Any]) -> Resource:
    running = old["running"] if old else None
    return {"id": old["id"] if old else str(id), "body": body, "operation": None, "error": None, "running": running}
