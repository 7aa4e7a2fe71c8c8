"""The functions that programs may call. Called by provider.py."""

from collections.abc import Mapping
from typing import Any

from local_cloud.providers.azure_native.client import Client
from local_cloud.providers.azure_native.ids import ResourceId
from local_cloud.providers.azure_native.resource_types import resource_types

SERVICE, RESOURCES = "azure-native:containerservice", "azure-native:resources"
ADMIN = f"{SERVICE}:listManagedClusterAdminCredentials"
USER = f"{SERVICE}:listManagedClusterUserCredentials"
CLIENT = "azure-native:authorization:getClientConfig"
GETTERS = {
    f"{SERVICE}:getManagedCluster": f"{SERVICE}:ManagedCluster",
    f"{SERVICE}:getAgentPool": f"{SERVICE}:AgentPool",
    f"{RESOURCES}:getResourceGroup": f"{RESOURCES}:ResourceGroup",
}
FUNCTIONS: dict[str, frozenset[str]] = {
    ADMIN: frozenset({"kubeconfigs"}),
    USER: frozenset({"kubeconfigs"}),
    CLIENT: frozenset({"clientId", "objectId", "subscriptionId", "tenantId"}),
    **{getter: resource_types()[token].outputs | {"id"} for getter, token in GETTERS.items()},
}
"""Names of results, by function token."""


def invoke(token: str, args: Mapping[str, Any], client: Client, subscription: str) -> dict[str, Any]:
    """The result of the function. Credentials are not marked as secrets: azure-native does not either.

    Raises:
        ArmError: ARM refuses.
    """
    if token == CLIENT:
        nobody = "00000000-0000-0000-0000-000000000000"
        return {"clientId": nobody, "objectId": nobody, "subscriptionId": subscription, "tenantId": nobody}
    if token in GETTERS:
        type = resource_types()[GETTERS[token]]
        response = client.get(str(type.id(subscription, args)))
        return {**type.outputs_of(response), "id": response["id"]}
    cluster = ResourceId(subscription, args["resourceGroupName"], args["resourceName"])
    return client.credentials(str(cluster), admin=token == ADMIN)
