"""Azure's Compute service, read only: vCPU quotas and VM sizes of one region. Called by survey.

Retries are the SDK's own, which honour Retry-After.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kaito_components.azure.login import credential
from kaito_components.azure.patience import Patience, arm_endpoint
from kaito_components.capacity import Offer, Quota, Restriction

if TYPE_CHECKING:
    from azure.mgmt.compute import ComputeManagementClient


def client(subscription: str, patience: Patience) -> "ComputeManagementClient":
    """The SDK's client; nothing is asked yet."""
    from azure.mgmt.compute import ComputeManagementClient

    endpoint = arm_endpoint()
    where: dict[str, Any] = {"base_url": endpoint, "credential_scopes": [f"{endpoint}/.default"]} if endpoint else {}
    return ComputeManagementClient(
        credential(patience),
        subscription,
        retry_policy=_retries(patience),
        connection_timeout=patience.connect_seconds,
        read_timeout=patience.read_seconds,
        **where,
    )


def quotas(compute: "ComputeManagementClient", region: str) -> dict[str, Quota]:
    """All quotas of a region by lower-case name.

    Raises:
        azure.core.exceptions.AzureError: after the last try.
    """
    found = (Quota(str(one.name.value), one.current_value, one.limit) for one in compute.usage.list(region))
    return {quota.name.lower(): quota for quota in found}


def offers(compute: "ComputeManagementClient", region: str) -> dict[str, Offer]:
    """All VM sizes of a region by lower-case name.

    Raises:
        azure.core.exceptions.AzureError: after the last try.
    """
    listed = compute.resource_skus.list(filter=f"location eq '{region}'")
    found = (_offer(one, region) for one in listed if one.resource_type == "virtualMachines")
    return {offer.name.lower(): offer for offer in found}


def _offer(record: Any, region: str) -> Offer:
    capabilities = {one.name: one.value for one in record.capabilities or ()}
    zones = {zone for info in record.location_info or () if _same(info.location, region) for zone in info.zones or ()}
    return Offer(
        name=record.name,
        family=record.family or "",
        zones=tuple(sorted(zones)),
        has_spot=capabilities.get("LowPriorityCapable", "True") == "True",
        restrictions=tuple(_restrictions(record.restrictions or (), region)),
    )


def _restrictions(records: Iterable[Any], region: str) -> Iterable[Restriction]:
    """Those of this region; a record names it in `values`, and in `restrictionInfo` since that exists."""
    for one in records:
        info = one.restriction_info
        places = [*(one.values_property or ()), *((info.locations if info else None) or ())]
        if not places or any(_same(place, region) for place in places):
            zones = tuple(sorted((info.zones if info else None) or ())) if one.type == "Zone" else ()
            yield Restriction(str(getattr(one.reason_code, "value", one.reason_code)), zones)


def _same(one: str | None, region: str) -> bool:
    return (one or "").lower() == region


def _retries(patience: Patience) -> Any:
    from azure.core.pipeline.policies import RetryPolicy

    class Retries(RetryPolicy):  # type: ignore[misc]  # the SDK is not followed
        """The SDK's, but for a Retry-After that would hold up a preview."""

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
            too_long = (self.get_retry_after(response) or 0) > patience.wait_seconds
            return bool(super().is_retry(settings, response)) and not too_long

    return Retries(retry_total=patience.tries - 1, retry_backoff_factor=patience.backoff_seconds)
