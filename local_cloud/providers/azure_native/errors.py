"""Refusals of Azure Resource Manager, worded as azure-native prints them."""

from collections.abc import Mapping
from typing import Any

ANOTHER_OPERATION = "Another operation on this or dependent resource is in progress."
CAPACITY = (
    "We do not have sufficient capacity for the requested VM size in this region. Read more about improving "
    "likelihood of allocation success at http://aka.ms/allocation-guidance"
)
KNOWN: Mapping[str, tuple[int, str]] = {
    "AllocationFailed": (409, CAPACITY),
    "OverconstrainedAllocationRequest": (409, CAPACITY),
    "ZonalAllocationFailed": (409, CAPACITY.replace("region", "zone", 1)),
    "SkuNotAvailable": (409, "The requested VM size is currently not available in this location."),
    "OperationNotAllowed": (409, "Operation is not allowed: Another operation (Updating) is in progress."),
    "AnotherOperationInProgress": (409, ANOTHER_OPERATION),
    "AuthorizationFailed": (403, "The client does not have authorization to perform this action over this scope."),
    "TooManyRequests": (429, "The request is being throttled as the limit has been reached for this operation type."),
    "InternalServerError": (500, "The server encountered an internal error. Please retry the request."),
    "GatewayTimeout": (504, "The gateway did not receive a response in time."),
}
"""Status and words that a configured fault gets where the configuration gives only its code."""


class ArmError(Exception):
    """What ARM answers instead of doing it. `str()` is what a user of azure-native sees.

    Source: pulumi/pulumi-azure-native provider/pkg/azure/client_azcore.go, PulumiAzcoreResponseError.
    """

    def __init__(self, status: int, code: str, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f'Status={status} Code="{code}" Message="{message}"')
        self.status, self.code, self.message = status, code, message
        self.retry_after_seconds = retry_after_seconds

    def as_result(self) -> dict[str, Any]:
        """The `error` object of a failed long-running operation."""
        return {"code": self.code, "message": self.message}


def operation_failed(error: Mapping[str, Any]) -> ArmError:
    """A long-running operation that ended in failure: its status document itself is fetched with 200."""
    return ArmError(200, error["code"], error["message"])


def bad_parameter(path: str, why: str) -> ArmError:
    """A body that Azure does not accept."""
    return ArmError(400, "InvalidParameter", f"The value of parameter {path} is invalid. Error details: {why}")


def not_found(arm_type: str, name: str, resource_group: str) -> ArmError:
    """A resource that is not there, in a resource group that is."""
    hint = "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    message = f"The Resource '{arm_type}/{name}' under resource group '{resource_group}' was not found. {hint}"
    return ArmError(404, "ResourceNotFound", message)


def group_not_found(resource_group: str) -> ArmError:
    """A resource group that is not there."""
    return ArmError(404, "ResourceGroupNotFound", f"Resource group '{resource_group}' could not be found.")


def parent_not_found(cluster_id: str) -> ArmError:
    """A child written under a parent that is not there."""
    resource = "managedClusters/agentPools"
    message = (
        f"Failed to perform 'write' on resource(s) of type '{resource}', because the parent resource "
        f"'{cluster_id}' could not be found."
    )
    return ArmError(404, "ParentResourceNotFound", message)
