"""The nodes of a Workspace: what they compute with, their disk, their pool, and how pods find them. Called by plan."""

from typing import Literal

from kaito_components import names
from kaito_components.plan.types import Hardware, NodeOptions, Pool
from kaito_components.presets import Preset
from kaito_components.skus import VmSize
from kaito_components.spec.model import Workspace
from kaito_components.units import GIB, gibibytes_up

# AKS gives managed OS disks 128 GiB and up, by vCPUs; more than the least buys throughput, not room.
# Source: learn.microsoft.com/azure/aks/concepts-storage, "Default OS disk sizing".
LEAST_OS_DISK_BYTES = 128 * GIB
MOST_OS_DISK_GIB = 2048  # Source: ContainerService API, osDiskSizeGB


def hardware_of(spec: Workspace, vm: VmSize | None, nodes: NodeOptions) -> Hardware:
    """From the VM size; for nodes that exist already what the user says, else one GPU."""
    if vm is not None:
        return Hardware(vm.gpus, vm.compute_capability)
    partition = spec.resource.partition
    if partition and partition.count:
        return Hardware(partition.count, None)
    if partition and partition.profile:
        return _slice(partition.profile)
    return Hardware(1 if nodes.gpus_per_node is None else nodes.gpus_per_node, None)


def _slice(profile: str) -> Hardware:
    """One slice of a GPU. Its memory is the number in the profile, in GiB and rounded down, as KAITO takes it."""
    memory_gib = int(float(profile.partition(".")[2].removesuffix("gb")))
    return Hardware(1, None, names.MIG_RESOURCE.format(profile=profile), memory_gib * GIB)


def disk_bytes(spec: Workspace, preset: Preset | None) -> int:
    """What must fit on a node's OS disk."""
    if preset is None:
        return LEAST_OS_DISK_BYTES
    serving = preset.disk_bytes
    return max(serving, preset.tuning.disk_bytes) if spec.tuning and preset.tuning else serving


def labels_of(spec: Workspace) -> dict[str, str]:
    """The user's labels without those that are ours to set."""
    return {key: value for key, value in spec.resource.match_labels.items() if key not in names.RESERVED_LABELS}


def pool_of(spec: Workspace, vm: VmSize, node_count: int, disk: int, nodes: NodeOptions) -> Pool:
    """The agent pool; its name changes with what Azure cannot change in a pool."""
    family = spec.annotations.get(names.IMAGE_FAMILY_ANNOTATION, "ubuntu").lower()
    os_sku: Literal["Ubuntu", "AzureLinux"] = "AzureLinux" if family == "azurelinux" else "Ubuntu"
    os_disk_gib = nodes.os_disk_gib or gibibytes_up(max(disk, LEAST_OS_DISK_BYTES))
    immutable = {
        "vmSize": vm.name,
        "osSKU": os_sku,
        "osDiskSizeGB": os_disk_gib,
        "spot": nodes.spot,
        "zones": sorted(nodes.zones),
    }
    # Where a Deployment becomes a StatefulSet (from one node to several) or a Job, the old one goes only when the new
    # one is there. On the same nodes that would wait for ever for the GPUs that the old one holds.
    if node_count > 1 or spec.tuning:
        immutable["workload"] = "Job" if spec.tuning else "StatefulSet"
    return Pool(
        name=names.pool_name(spec.namespace, spec.name, immutable),
        vm_size=vm.name,
        count=node_count,
        labels=labels_of(spec) | _own_labels(spec) | {names.MACHINE_TYPE_LABEL: "gpu" if vm.gpus else "cpu"},
        taints=("sku=gpu:NoSchedule",),  # KAITO's, whatever the size: the pool is this Workspace's alone
        os_sku=os_sku,
        os_disk_size_gib=os_disk_gib,
        spot=nodes.spot,
        min_count=nodes.min_count,
        max_count=nodes.max_count,
        zones=nodes.zones,
    )


def node_selector(spec: Workspace, pool: Pool | None) -> dict[str, str]:
    """What a node must carry: the user's labels, and in a pool of ours the Workspace's and the pool's name."""
    if pool is None:
        return labels_of(spec)
    return labels_of(spec) | _own_labels(spec) | {names.POOL_LABEL: pool.name}


def _own_labels(spec: Workspace) -> dict[str, str]:
    return {names.WORKSPACE_LABEL: spec.name, names.NAMESPACE_LABEL: spec.namespace}
