"""What Azure enforces for an agent pool. Called by arm.py before a pool is made or changed; no I/O.

Source of FIXED: terraform-provider-azurerm's documentation of `azurerm_kubernetes_cluster_node_pool`, properties that
force a new resource or need `temporary_name_for_rotation`. Of their error's words: pulumi/pulumi-azure-native#959.
"""

import re
from collections.abc import Mapping
from typing import Any

from local_cloud.providers.azure_native.errors import ArmError, bad_parameter
from local_cloud.providers.azure_native.settings import Region
from local_cloud.providers.azure_native.vm_sizes import VmSize, find_vm_size, vm_sizes

NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
FIXED = (
    *("vmSize", "osDiskSizeGB", "osDiskType", "kubeletDiskType", "vnetSubnetID", "podSubnetID", "osType", "type"),
    *("availabilityZones", "scaleSetPriority", "scaleSetEvictionPolicy", "spotMaxPrice", "maxPods", "workloadRuntime"),
    *("enableFIPS", "enableEncryptionAtHost", "enableUltraSSD", "enableNodePublicIP", "nodePublicIPPrefixID"),
    *("gpuInstanceProfile", "gpuProfile", "kubeletConfig", "linuxOSConfig", "proximityPlacementGroupID"),
    *("capacityReservationGroupID", "hostGroupID", "creationData", "podIPAllocationMode"),
)
KEPT = (*FIXED, "osSKU", "orchestratorVersion", "mode", "count", "powerState", "scaleDownMode", "upgradeSettings")
EXCHANGEABLE_OS = frozenset({"ubuntu", "azurelinux"})  # `az aks nodepool update --os-sku` moves between these
DEFAULTS: Mapping[str, Any] = {
    "count": 1,
    "osDiskSizeGB": 128,
    "osDiskType": "Managed",
    "kubeletDiskType": "OS",
    "maxPods": 110,
    "type": "VirtualMachineScaleSets",
    "mode": "User",
    "osType": "Linux",
    "osSKU": "Ubuntu",
    "scaleDownMode": "Delete",
    "enableAutoScaling": False,
    "enableNodePublicIP": False,
    "enableEncryptionAtHost": False,
    "enableUltraSSD": False,
    "enableFIPS": False,
    "powerState": {"code": "Running"},
    "upgradeSettings": {"maxSurge": "10%"},
}
LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
TAINT = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^=:]*))?:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute)")
RESERVED_LABELS = "kubernetes.azure.com/"
MAX_COUNT = 1000


def refuse_bad_name(name: str) -> None:
    """1 to 12 lower-case letters and digits, a letter first: the rule for Linux pools.

    Raises:
        ArmError: another name.
    """
    if not NAME.fullmatch(name):
        why = f"'{name}' does not match '^[a-z][a-z0-9]{{0,11}}$'"
        raise bad_parameter("agentPoolName", why)


def refuse_change_of_fixed(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """What a pool was made with stays; only a pool with another name can have it otherwise.

    Raises:
        ArmError: PropertyChangeNotAllowed.
    """
    for name in FIXED:
        if name in _given(new) and not _equal(new[name], old.get(name)):
            raise _change_not_allowed(name)
    before, after = (str(pool.get("osSKU") or DEFAULTS["osSKU"]).lower() for pool in (old, new))
    if "osSKU" in new and before != after and not {before, after} <= EXCHANGEABLE_OS:
        raise _change_not_allowed("osSKU")


def completed(new: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    """The properties as Azure will show them: what a PUT leaves out keeps its value or gets the default."""
    kept = {name: old[name] for name in KEPT if name in old} if old else {}
    return {**DEFAULTS, **kept, **_given(new)}


def refuse_bad_pool(pool: Mapping[str, Any], region: Region, location: str) -> VmSize:
    """Checks a pool by itself: size, zones, counts, spot, labels and taints. Returns its size.

    Raises:
        ArmError: in Azure's words where they are recorded.
    """
    size = _offered(str(pool.get("vmSize", "")), region, location)
    _refuse_bad_zones(pool, region, location)
    _refuse_bad_counts(pool)
    _refuse_bad_spot(pool)
    for key, value in (pool.get("nodeLabels") or {}).items():
        _refuse_bad_label(key, value)
    for taint in pool.get("nodeTaints") or []:
        if not TAINT.fullmatch(taint):
            raise bad_parameter("properties.nodeTaints", f"'{taint}' is not key=value:effect")
    return size


def refuse_above_quota(
    needed_vcpus: int, used_vcpus: int, size: VmSize, spot: bool, region: Region, location: str
) -> None:
    """The vCPU quota of the size's family in the region; spot machines share the region's lowPriorityCores.

    Source of the words: 1ChristianAlex/motordesk#14 ("requested 2, remaining 0 for family StandardDasv7Family").

    Raises:
        ArmError: ErrCode_InsufficientVCPUQuota.
    """
    family = quota_family(size, spot)
    limit = region.quota.get(family.lower())
    if limit is not None and needed_vcpus > limit - used_vcpus:
        message = (
            f"Insufficient vcpu quota requested {needed_vcpus}, remaining {max(limit - used_vcpus, 0)} for family "
            f"{family} for region {location}. Surge nodes would also consume vcpu quota."
        )
        raise ArmError(400, "ErrCode_InsufficientVCPUQuota", message)


def quota_family(size: VmSize, spot: bool) -> str:
    """The quota that the machines count against."""
    return "lowPriorityCores" if spot else size.family


def is_spot(pool: Mapping[str, Any]) -> bool:
    """Whether the pool's machines may be taken away at any time."""
    return str(pool.get("scaleSetPriority") or "Regular").lower() == "spot"


def _offered(name: str, region: Region, location: str) -> VmSize:
    size = find_vm_size(name)
    if size is None or size.name.lower() in region.retired:
        offered = ",".join(sorted(known for known in vm_sizes() if known not in region.retired))
        message = (
            f"The VM size of {name} is not allowed in your subscription in location '{location}'. The available VM "
            f"sizes are '{offered}'. For more details, please visit https://aka.ms/aks/quotas-skus-regions"
        )
        raise ArmError(400, "BadRequest", message)
    return size


def _refuse_bad_zones(pool: Mapping[str, Any], region: Region, location: str) -> None:
    bad = [zone for zone in pool.get("availabilityZones") or [] if zone not in region.zones]
    if bad:
        message = (
            f"The zone(s) '{','.join(bad)}' for resource 'agentPoolProfile' is not supported. The supported zones for "
            f"location '{location}' are '{','.join(region.zones)}'"
        )
        raise ArmError(400, "AvailabilityZoneNotSupported", message)


def _refuse_bad_counts(pool: Mapping[str, Any]) -> None:
    count, least = pool["count"], 1 if str(pool["mode"]).lower() == "system" else 0
    if not least <= count <= MAX_COUNT:
        raise bad_parameter("properties.count", f"{count} is not between {least} and {MAX_COUNT}")
    low, high = pool.get("minCount"), pool.get("maxCount")
    if not pool.get("enableAutoScaling"):
        if low is not None or high is not None:
            raise bad_parameter("properties.minCount", "minCount and maxCount need enableAutoScaling")
    elif low is None or high is None or not low <= count <= high:
        why = f"autoscaling needs minCount <= count <= maxCount, got {low}, {count}, {high}"
        raise bad_parameter("properties.minCount", why)


def _refuse_bad_spot(pool: Mapping[str, Any]) -> None:
    if is_spot(pool):
        if str(pool["mode"]).lower() == "system":
            raise bad_parameter("properties.scaleSetPriority", "a system pool cannot be of spot machines")
        return
    for name in ("scaleSetEvictionPolicy", "spotMaxPrice"):
        if pool.get(name) is not None:
            raise bad_parameter(f"properties.{name}", "it may be set only where scaleSetPriority is Spot")


def _refuse_bad_label(key: str, value: str) -> None:
    if key == "agentpool" or key.startswith(RESERVED_LABELS):
        raise bad_parameter("properties.nodeLabels", f"label '{key}' is reserved for AKS")
    if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
        raise bad_parameter("properties.nodeLabels", f"'{key}: {value}' is not a Kubernetes label")


def _given(pool: Mapping[str, Any]) -> dict[str, Any]:
    """Without what stands for "as Azure likes it": null, and a disk of 0 GB."""
    unset = {"osDiskSizeGB": 0}
    return {name: value for name, value in pool.items() if value is not None and value != unset.get(name)}


def _equal(new: Any, old: Any) -> bool:
    if isinstance(new, str) and isinstance(old, str):
        return new.lower() == old.lower()
    if isinstance(new, dict) and isinstance(old, dict):
        return all(_equal(value, old.get(key)) for key, value in new.items())
    return bool(new == old)


def _change_not_allowed(name: str) -> ArmError:
    message = f"Changing property 'properties.{name}' is not allowed."
    return ArmError(400, "PropertyChangeNotAllowed", message)
