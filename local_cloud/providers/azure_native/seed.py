"""The cluster that a fresh local cloud has. Called by `python -m local_cloud up`."""

from pathlib import Path

from local_cloud.providers.azure_native.arm import Arm
from local_cloud.providers.azure_native.errors import ArmError
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId

LOCAL = "local"
SYSTEM_POOL = {"name": "system", "count": 1, "vmSize": "Standard_D4s_v5", "mode": "System", "osType": "Linux"}


def seed(instance_dir: Path | str, name: str = LOCAL, location: str = LOCAL) -> None:
    """Makes a resource group and in it a cluster of the same name with its system pool, and the nodes of its pools.

    What is there already stays as it is. Tests that must not meet each other's operations seed a cluster each: all of
    them are the instance's one Kubernetes.

    Raises:
        ClusterUnreachable: the instance's API server does not answer.
    """
    arm = Arm(instance_dir)
    group, cluster = ResourceId(SUBSCRIPTION, name), ResourceId(SUBSCRIPTION, name, name)
    if not _exists(arm, group):
        arm.put(str(group), {"location": location})
    if not _exists(arm, cluster):
        properties = {"dnsPrefix": name, "agentPoolProfiles": [SYSTEM_POOL]}
        body = {"location": location, "identity": {"type": "SystemAssigned"}, "properties": properties}
        arm.put(str(cluster), body)
    arm.wait(str(cluster))
    arm.converge()


def unseed(instance_dir: Path | str, name: str) -> None:
    """Deletes the resource group of that name with all that lies in it, and the nodes.

    Raises:
        ClusterUnreachable: the instance's API server does not answer.
    """
    arm, group = Arm(instance_dir), ResourceId(SUBSCRIPTION, name)
    if _exists(arm, group):
        arm.delete(str(group))
        arm.wait(str(group))
    arm.converge()


def _exists(arm: Arm, id: ResourceId) -> bool:
    try:
        arm.get(str(id))
    except ArmError as error:
        if error.status != 404:
            raise
        return False
    return True
