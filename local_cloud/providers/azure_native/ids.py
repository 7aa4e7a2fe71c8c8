"""ARM ids of the three kinds of resources that the stand-in knows."""

import hashlib
import re
from dataclasses import dataclass, replace

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
CLUSTER_TYPE = "Microsoft.ContainerService/managedClusters"
PATTERN = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"(/providers/Microsoft\.ContainerService/managedClusters/(?P<cluster>[^/]+)(/agentPools/(?P<pool>[^/]+))?)?/?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ResourceId:
    """Which resource: a pool if `pool` is set, else a cluster if `cluster` is set, else a resource group."""

    subscription: str
    group: str
    cluster: str | None = None
    pool: str | None = None

    @classmethod
    def parse(cls, id: str) -> "ResourceId":
        """Reads an id as users and ARM write it; ids are not case-sensitive.

        Raises:
            ValueError: it is no id of a resource group, managed cluster or agent pool.
        """
        match = PATTERN.fullmatch(id)
        if match is None:
            raise ValueError(f"{id!r} is not the id of a resource group, managed cluster or agent pool")
        return cls(**match.groupdict())

    def __str__(self) -> str:
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        cluster = f"/providers/{CLUSTER_TYPE}/{self.cluster}" if self.cluster else ""
        return group + cluster + (f"/agentPools/{self.pool}" if self.pool else "")

    @property
    def key(self) -> str:
        """Under which the state holds it: ARM does not tell cases apart."""
        return str(self).lower()

    @property
    def kind(self) -> str:
        """ResourceGroup, ManagedCluster or AgentPool."""
        return "AgentPool" if self.pool else "ManagedCluster" if self.cluster else "ResourceGroup"

    @property
    def arm_type(self) -> str:
        """The resource type as ARM writes it."""
        if self.pool:
            return f"{CLUSTER_TYPE}/agentPools"
        return CLUSTER_TYPE if self.cluster else "Microsoft.Resources/resourceGroups"

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.pool or self.cluster or self.group

    @property
    def cluster_id(self) -> "ResourceId":
        """The cluster of a pool, or the cluster itself."""
        return replace(self, pool=None)

    @property
    def group_id(self) -> "ResourceId":
        """The resource group it lies in, or the group itself."""
        return ResourceId(self.subscription, self.group)

    @property
    def digits(self) -> str:
        """Eight digits that stand for the cluster in the names of its machines."""
        digest = hashlib.sha256(self.cluster_id.key.encode()).hexdigest()
        return f"{int(digest[:12], 16) % 10**8:08}"
