"""Which cluster: credentials, one Kubernetes provider, and the chain of its agent pools. Used by workspace and config.

A `Cluster` is made once per program and shared by its Workspaces.
"""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi

from kaito_components.declare import azure_invoke, provider_version
from kaito_components.errors import KaitoError


class ClusterArgs(TypedDict):
    """An AKS cluster by resource group and name, or any cluster by its kubeconfig."""

    resource_group: NotRequired[str]
    name: NotRequired[str]
    admin: NotRequired[bool]
    """Use the cluster's admin credentials instead of the user's."""
    kubeconfig: NotRequired[pulumi.Input[str]]
    """The content of a kubeconfig; kept secret."""
    context: NotRequired[str]


class Cluster:
    """One cluster that exists already.

    Attributes:
        kubeconfig: its content, secret.
        context: the kubeconfig's context, or None for its current one.
        provider: the explicit Kubernetes provider of every object.
        resource_group, name: of the AKS cluster; None for one that is known only by kubeconfig.
    """

    def __init__(self, args: ClusterArgs, opts: pulumi.InvokeOptions | None = None) -> None:
        self.resource_group, self.name = args.get("resource_group"), args.get("name")
        self.context = args.get("context")
        self._last_pool: pulumi.Resource | None = None
        self._pools: set[str] = set()
        self._id = ""
        if self.resource_group and self.name:
            self._look_up()
            credentials = self._credentials(bool(args.get("admin")))
            self.kubeconfig: pulumi.Output[str] = pulumi.Output.secret(credentials)
            identifier = f"aks/{self.resource_group}/{self.name}"
        elif args.get("kubeconfig"):
            self.kubeconfig = pulumi.Output.secret(args["kubeconfig"])
            identifier = f"kubeconfig/{self.context or 'current'}"
        else:
            raise KaitoError("cluster: give resource_group and name of an AKS cluster, or a kubeconfig")
        self.provider = _kubernetes(identifier, self.kubeconfig, self.context)

    def existing_pool(self, name: str) -> str | None:
        """The ARM id of the cluster's pool of that name, if it is there.

        A pool that an interrupted `pulumi up` was making is in Azure, and not in the state. Azure refuses to create it
        again, so it is imported by this id; for a pool in the state the engine sees its own id and does nothing.
        """
        return f"{self._id}/agentPools/{name}" if name in self._pools else None

    def after_last_pool(self, pool: pulumi.Resource) -> None:
        """Remembers the newest pool: the next one waits for it, since AKS runs one operation of a cluster at a time."""
        self._last_pool = pool

    @property
    def previous_pool(self) -> list[pulumi.Resource]:
        """What a new pool must wait for."""
        return [self._last_pool] if self._last_pool else []

    def _look_up(self) -> None:
        where = {"resourceGroupName": self.resource_group, "resourceName": self.name}
        options = pulumi.InvokeOptions(version=provider_version("azure-native"))
        found = pulumi.runtime.invoke("azure-native:containerservice:getManagedCluster", where, options).value
        self._id = found["id"]
        self._pools = {profile["name"] for profile in found.get("agentPoolProfiles") or []}

    def _credentials(self, admin: bool) -> pulumi.Output[str]:
        kind = "Admin" if admin else "User"
        where = {"resourceGroupName": self.resource_group, "resourceName": self.name}
        return azure_invoke(f"containerservice:listManagedCluster{kind}Credentials", where).apply(_kubeconfig)


def _kubeconfig(answer: Mapping[str, Any]) -> str:
    import base64

    return base64.b64decode(answer["kubeconfigs"][0]["value"]).decode()


def _kubernetes(identifier: str, kubeconfig: pulumi.Output[str], context: str | None) -> pulumi.ProviderResource:
    """The provider of all objects.

    Its identity is the cluster's, so that renewed credentials replace nothing. An object that an interrupted `up` left
    is taken over instead of being refused; ConfigMaps and Secrets change in place, the pods' checksum makes them roll.
    """
    settings = {
        "kubeconfig": kubeconfig,
        "context": context,
        "clusterIdentifier": identifier,
        "upsertExistingObjects": "true",
        "enableConfigMapMutable": "true",
        "enableSecretMutable": "true",
    }
    options = pulumi.ResourceOptions(version=provider_version("kubernetes"))
    return pulumi.ProviderResource("kubernetes", "cluster", settings, options)
