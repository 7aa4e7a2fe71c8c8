"""What Azure enforces for resource groups and managed clusters, and what it adds to them. No I/O.

Called by arm.py. The words of refusals are recorded ones: pulumi/pulumi-azure-nextgen#168 for a pool that is
introduced through its cluster; Azure/AKS's documentation for local accounts.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from local_cloud.providers.azure_native.errors import ArmError, bad_parameter
from local_cloud.providers.azure_native.ids import ResourceId
from local_cloud.providers.azure_native.resource_types import CLUSTER_NAME
from local_cloud.providers.azure_native.settings import normal_location

KUBERNETES_VERSION = "1.34.4"  # of the control plane that the local cloud builds
NETWORK = {
    "networkPlugin": "azure",
    "loadBalancerSku": "standard",
    "serviceCidr": "10.0.0.0/16",
    "dnsServiceIP": "10.0.0.10",
    "outboundType": "loadBalancer",
}
MOST_POOLS = 100


def refuse_other_location(id: ResourceId, body: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
    """A resource group stays where it is.

    Raises:
        ArmError: it exists elsewhere.
    """
    if old is not None and normal_location(body["location"]) != normal_location(old["location"]):
        message = (
            f"Invalid resource group location '{body['location']}'. The Resource group already exists in location "
            f"'{old['location']}'."
        )
        raise ArmError(409, "InvalidResourceGroupLocation", message)


def refuse_bad_cluster(id: ResourceId, body: Mapping[str, Any], pool_names: set[str], exists: bool) -> None:
    """Checks a cluster by itself; its pools have rules of their own.

    Args:
        pool_names: the pools that the cluster has already.

    Raises:
        ArmError: in Azure's words where they are recorded.
    """
    if not CLUSTER_NAME.fullmatch(id.name):
        raise bad_parameter("resourceName", f"'{id.name}' is no name of a managed cluster")
    profiles = body["properties"].get("agentPoolProfiles") or []
    new = {profile.get("name") for profile in profiles} - pool_names
    if exists and new:
        message = (
            "A new agent pool was introduced. Adding agent pools to an existing cluster is not allowed through managed "
            "cluster operations. For agent pool specific change, please use per agent pool operations: "
            "https://aka.ms/agent-pool-rest-api"
        )
        raise ArmError(400, "BadRequest", message)
    if not exists and not any(str(profile.get("mode")).lower() == "system" for profile in profiles):
        raise bad_parameter("properties.agentPoolProfiles", "there has to be at least one system agent pool")


def completed_cluster(id: ResourceId, body: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    """The body as Azure will show it, without its pools."""
    given = {name: value for name, value in body["properties"].items() if name != "agentPoolProfiles"}
    before = old["properties"] if old else {}
    location = normal_location(body["location"])
    prefix = given.get("dnsPrefix") or before.get("dnsPrefix") or id.name
    host = f"{prefix}-{id.digits}"
    properties = {
        "dnsPrefix": prefix,
        "kubernetesVersion": before.get("kubernetesVersion", KUBERNETES_VERSION),
        "enableRBAC": True,
        "nodeResourceGroup": f"MC_{id.group}_{id.cluster}_{location}",
        "supportPlan": "KubernetesOfficial",
        "fqdn": f"{host}.hcp.{location}.azmk8s.io",
        "azurePortalFQDN": f"{host}.portal.hcp.{location}.azmk8s.io",
        "maxAgentPools": MOST_POOLS,
        "powerState": {"code": "Running"},
        "resourceUID": before.get("resourceUID", uuid.uuid5(uuid.NAMESPACE_URL, id.key).hex),
        **given,
        "currentKubernetesVersion": KUBERNETES_VERSION,
        "networkProfile": {**NETWORK, **(given.get("networkProfile") or {})},
    }
    outer = {name: value for name, value in body.items() if name != "properties"}
    return {"sku": {"name": "Base", "tier": "Free"}, **outer, "location": location, "properties": properties}


def refuse_admin_credentials(properties: Mapping[str, Any]) -> None:
    """A cluster without local accounts has no administrator's kubeconfig.

    Raises:
        ArmError: local accounts are disabled.
    """
    if properties.get("disableLocalAccounts"):
        message = "Getting static credential is not allowed because this cluster is set to disable local accounts."
        raise ArmError(400, "BadRequest", message)
