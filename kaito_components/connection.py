"""Which cluster: credentials, one Kubernetes provider, and the chain of its agent pools. Used by workspace and config.

A `Cluster` is made once in a program and shared by its Workspaces, also where each of them names it anew.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NotRequired, TypedDict
from weakref import WeakKeyDictionary

import pulumi

from kaito_components import names
from kaito_components.declare import azure_invoke, kubernetes_object, provider_version, this_stack
from kaito_components.errors import ClusterError
from kaito_components.existing_pools import ExistingPool
from kaito_components.manifests import dashboard, device_plugin, priority
from kaito_components.manifests.monitoring import MONITORS
from kaito_components.options import Reader
from kaito_components.plan.types import AzureOptions
from kaito_components.review import Review, learnt
from kaito_components.spec.model import ConfigMap, Secret

OWNER_TAG = "kaito-pulumi-stack"  # on each pool, so that no stack takes over another one's
_made: WeakKeyDictionary[Any, dict[Any, "Cluster"]] = WeakKeyDictionary()  # by running program, then by args


class AzureArgs(TypedDict, total=False):
    """What Azure is asked before anything is bought."""

    checks: bool
    """Ask for quota, VM sizes and prices; the login needs the role Reader on the subscription."""
    subscription: str
    """Its id; learnt from the cluster unless this program makes it."""
    region: str
    """Likewise."""
    currency: str
    """Of the prices, USD by default."""


class MonitoringArgs(TypedDict, total=False):
    """What is made for Grafana and the Prometheus operator; nothing by default."""

    dashboard: bool
    """A ConfigMap that Grafana's sidecar loads, once per stack."""
    service_monitor: bool
    """One per Workspace that serves, where the cluster has that kind."""


class NetworkArgs(TypedDict, total=False):
    """Who may reach the pods, and whom they may reach; nothing is made by default."""

    policy: bool
    """A NetworkPolicy per Workspace of a preset."""
    from_namespaces: Sequence[str]
    """From which its server may be asked, beside its own."""


class ClusterArgs(TypedDict):
    """An AKS cluster by resource group and name, or any cluster by its kubeconfig."""

    resource_group: NotRequired[pulumi.Input[str]]
    name: NotRequired[pulumi.Input[str]]
    admin: NotRequired[bool]
    """Use the cluster's admin credentials instead of the user's."""
    kubeconfig: NotRequired[pulumi.Input[str]]
    """The content of a kubeconfig; kept secret."""
    context: NotRequired[str]
    device_plugin: NotRequired[bool]
    """Whether this stack's GPU pools get NVIDIA's device plugin; False where the cluster has it on all nodes."""
    azure: NotRequired[AzureArgs]
    monitoring: NotRequired[MonitoringArgs]
    network: NotRequired[NetworkArgs]


class Cluster:
    """One cluster that exists already, or that the same program makes.

    Attributes:
        kubeconfig: its content, secret.
        context: the kubeconfig's context, or None for its current one.
        provider: the explicit Kubernetes provider of every object.
        resource_group, name: of the AKS cluster; None for one that is known only by kubeconfig.
        queued_pools: the pools that the program has declared so far; the next one must wait for them.
        beside: the ConfigMaps and Secrets that the program has declared so far beside its Workspaces, by kind and name.
        review: what its Workspaces cost, and whether Azure will give what they ask for.
        monitoring: what is made for Grafana and Prometheus.
        network: who may reach the pods.

    Raises:
        pulumi.RunError: the args do not name a cluster, or Azure does not have it.
    """

    def __init__(self, args: ClusterArgs, provider_name: str | None = None) -> None:
        """
        Args:
            args: which cluster.
            provider_name: the Kubernetes provider's logical name; made from the args if left out.
        """
        reader = Reader("Cluster")
        given = reader.cluster(args, "args")
        azure = reader.azure(given.get("azure", {}), "args.azure")
        self.monitoring = reader.monitoring(given.get("monitoring", {}), "args.monitoring")
        self.network = reader.network(given.get("network", {}), "args.network")
        if reader.problems:
            raise pulumi.RunError("\n".join(map(str, reader.problems)))
        self.resource_group, self.name = given.get("resource_group"), given.get("name")
        self.context: str | None = given.get("context")
        self.queued_pools: list[pulumi.Resource] = []
        self.beside: dict[tuple[str, str, str], tuple[ConfigMap | Secret, pulumi.CustomResource]] = {}
        self.review = Review(azure)
        self._pools: dict[str, str] = {}
        self._brings_device_plugin = bool(given.get("device_plugin", True))
        self._shared: set[str] = set()  # names of what all Workspaces share, as far as it is declared
        identifier, default_name = _identity(given)
        if self.name is None:
            self.kubeconfig: pulumi.Output[str] = pulumi.Output.secret(given["kubeconfig"])
        else:
            self._look_up(azure)
            self.kubeconfig = pulumi.Output.secret(self._credentials(bool(given.get("admin"))))
        self.provider = _kubernetes(provider_name or default_name, identifier, self.kubeconfig, self.context)

    def existing_pool(self, name: str) -> str | None:
        """The ARM id of this stack's pool of that name, if it is there.

        A pool that an interrupted `pulumi up` was making is in Azure, and not in the state. Azure refuses to create it
        again, so it is imported by this id; for a pool in the state the engine sees its own id and does nothing.
        """
        return self._pools.get(name)

    def queue_pool(self, pool: pulumi.Resource) -> None:
        """Remembers a pool: AKS runs one operation of a cluster at a time, so each waits for all before it.

        For all, and not only for the last: of two pools that are to be deleted the engine knows which goes first only
        if one names the other.
        """
        self.queued_pools.append(pool)

    def offer_gpus(self) -> dict[str, str]:
        """Declares, once, the device plugin of this stack's GPU pools; returns the labels that it looks for."""
        if not self._brings_device_plugin:
            return {}
        name = f"{self.name if isinstance(self.name, str) else 'cluster'}-device-plugin"
        self._share(name, device_plugin(this_stack()))
        return names.device_plugin_labels(this_stack())

    def show_dashboard(self) -> None:
        """Declares, once, the dashboard of this stack, if it is wanted."""
        if self.monitoring.dashboard:
            name = f"{self.name if isinstance(self.name, str) else 'cluster'}-dashboard"
            self._share(name, dashboard(this_stack()))

    @cached_property
    def takes_monitors(self) -> pulumi.Output[bool]:
        """Whether the API server has ServiceMonitors."""
        return self.kubeconfig.apply(lambda text: _takes_monitors(text, self.context))

    def prefer_tuning(self) -> str:
        """Declares, once, the PriorityClass of this stack's tuning Jobs; returns its name."""
        name = names.tuning_priority(this_stack())
        self._share(name, priority(name))
        return name

    def _share(self, name: str, manifest: Mapping[str, Any]) -> None:
        """Declares an object that all Workspaces share, unless an earlier one has."""
        if name not in self._shared:
            self._shared.add(name)
            kubernetes_object(name, manifest, self.provider, pulumi.ResourceOptions())

    def _look_up(self, azure: AzureOptions) -> None:
        """This stack's pools of a cluster whose name is known; of one that this program makes, none is there yet."""
        if isinstance(self.resource_group, pulumi.Output) or isinstance(self.name, pulumi.Output):
            return
        where = {"resourceGroupName": self.resource_group, "resourceName": self.name}
        options = pulumi.InvokeOptions(version=provider_version("azure-native"))
        try:
            found = pulumi.runtime.invoke("azure-native:containerservice:getManagedCluster", where, options).value
        except Exception as refused:  # the SDK raises no class of its own
            check = "check both names, the subscription (azure-native:subscriptionId) and the login (az login)"
            raise pulumi.RunError(f"AKS cluster {self.resource_group}/{self.name}: {refused}; {check}") from None
        ours = [
            profile
            for profile in found.get("agentPoolProfiles") or []
            if (profile.get("tags") or {}).get(OWNER_TAG) == this_stack()
        ]
        self._pools = {profile["name"]: f"{found['id']}/agentPools/{profile['name']}" for profile in ours}
        try:
            known = learnt(azure, found["location"], _subscription(found["id"]))
        except ValueError as contradiction:
            raise pulumi.RunError(f"AKS cluster {self.resource_group}/{self.name}: azure: {contradiction}") from None
        self.review = Review(known, tuple(map(_existing, ours)))

    def _credentials(self, admin: bool) -> pulumi.Output[str]:
        kind = "Admin" if admin else "User"
        where = {"resourceGroupName": self.resource_group, "resourceName": self.name}
        return azure_invoke(f"containerservice:listManagedCluster{kind}Credentials", where).apply(_kubeconfig)


def cluster_of(given: Cluster | ClusterArgs) -> Cluster:
    """The one `Cluster` that the running program has for these args."""
    if isinstance(given, Cluster):
        return given
    clusters = _made.setdefault(pulumi.runtime.settings.get_monitor(), {})
    key = _frozen(given)
    if key not in clusters:
        clusters[key] = Cluster(given)
    return clusters[key]


def _frozen(value: Any) -> Any:
    """The same as a key of a dict."""
    if isinstance(value, Mapping):
        return tuple((name, _frozen(item)) for name, item in sorted(value.items()))
    return tuple(value) if isinstance(value, list) else value


def _takes_monitors(kubeconfig: str, context: str | None) -> bool:
    """Also where the API server cannot be asked: then it takes no other object either, and one there is kept."""
    from kaito_components.live import cluster

    try:
        asked = cluster.Cluster.from_text(kubeconfig, context)
        try:
            return "ServiceMonitor" in asked.kinds(MONITORS)
        finally:
            asked.close()
    except ClusterError:
        return True


def _identity(given: Mapping[str, Any]) -> tuple[pulumi.Input[str], str]:
    """What makes it this cluster and no other one, and a logical name for its provider."""
    if "kubeconfig" in given:
        context = given.get("context")
        return f"kubeconfig/{context or 'current'}", context or "cluster"
    group, name = given["resource_group"], given["name"]
    if isinstance(group, str) and isinstance(name, str):
        return f"aks/{group}/{name}", f"{group}-{name}"
    return pulumi.Output.concat("aks/", group, "/", name), "cluster"


def _subscription(id: str) -> str:
    """Of an ARM id, /subscriptions/ID/..."""
    return id.split("/")[2]


def _existing(profile: Mapping[str, Any]) -> ExistingPool:
    """An agent pool as ARM shows it."""
    return ExistingPool(
        name=profile["name"],
        vm_size=profile.get("vmSize") or "",
        count=int(profile.get("count") or 0),
        is_spot=profile.get("scaleSetPriority") == "Spot",
        disk_gib=int(profile.get("osDiskSizeGB") or 0),
    )


def _kubeconfig(answer: Mapping[str, Any]) -> str:
    import base64

    return base64.b64decode(answer["kubeconfigs"][0]["value"]).decode()


def _kubernetes(
    name: str, identifier: pulumi.Input[str], kubeconfig: pulumi.Output[str], context: str | None
) -> pulumi.ProviderResource:
    """The provider of all objects.

    Its identity is the cluster's, so that renewed credentials replace nothing. An object that an interrupted `up` left
    is taken over instead of being refused, and fields that somebody changed by hand are taken back; ConfigMaps and
    Secrets change in place, the pods' checksum makes them roll.
    """
    settings = {
        "kubeconfig": kubeconfig,
        "context": context,
        "clusterIdentifier": identifier,
        "upsertExistingObjects": "true",
        "enablePatchForce": "true",
        "enableConfigMapMutable": "true",
        "enableSecretMutable": "true",
    }
    options = pulumi.ResourceOptions(version=provider_version("kubernetes"))
    return pulumi.ProviderResource("kubernetes", name, settings, options)
