"""A stand-in for the azure-native provider and for the part of Azure behind it: resource groups, AKS, agent pools.

arm.py       GET, PUT, DELETE; operations that take time; writes.py and the rules decide what is accepted
machines.py  nodes of the pools in the local Kubernetes
provider.py  the plugin: Check, Diff, Create and so on, as azure-native has them
settings.py  config.json: durations, quota, retired sizes, faults
"""

from pathlib import Path

from local_cloud.providers.azure_native.arm import Arm
from local_cloud.providers.azure_native.errors import ArmError
from local_cloud.providers.azure_native.machines import ClusterUnreachable
from local_cloud.providers.azure_native.seed import seed, unseed

__all__ = ["Arm", "ArmError", "ClusterUnreachable", "converge", "seed", "unseed"]


def converge(instance_dir: Path | str) -> None:
    """Ends the operations that are due and brings the nodes in line with the pools.

    Raises:
        ClusterUnreachable: the instance's API server does not answer.
    """
    Arm(instance_dir).converge()
