"""What Azure refuses and allows for agent pools."""

from typing import Any

import pytest
from azure_cloud import GPU_SIZE, Azure

from local_cloud.providers.azure_native import ArmError
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId

A100 = "StandardNCADSA100v4Family"


def refusal(azure: Azure, pool: str = "gpu", **properties: Any) -> ArmError:
    with pytest.raises(ArmError) as refused:
        azure.begin(pool, **properties)
    return refused.value


@pytest.mark.parametrize("name", ["gpu1", "a", "abcdefghij12"])
def test_a_pool_may_have_up_to_12_lower_case_letters_and_digits(azure: Azure, name: str) -> None:
    assert azure.put(name)["provisioningState"] == "Succeeded"


@pytest.mark.parametrize("name", ["1gpu", "GPU", "gpu-1", "abcdefghij123"])
def test_another_pool_name_is_refused(azure: Azure, name: str) -> None:
    """Source: Azure/azure-cli acs module, validation of the SDK: ^[a-z][a-z0-9]{0,11}$."""
    error = refusal(azure, name)
    assert (error.status, error.code) == (400, "InvalidParameter") and "agentPoolName" in error.message


def test_a_pool_needs_its_cluster_and_the_cluster_its_group(azure: Azure) -> None:
    missing = {("test", "nope"): "ParentResourceNotFound", ("nope", "nope"): "ResourceGroupNotFound"}
    for (group, cluster), code in missing.items():
        with pytest.raises(ArmError) as refused:
            azure.arm.put(str(ResourceId(SUBSCRIPTION, group, cluster, "gpu")), {"properties": {"vmSize": GPU_SIZE}})
        assert (refused.value.status, refused.value.code) == (404, code)


FIXED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"vmSize": "Standard_NC48ads_A100_v4"}),
    ({"osDiskSizeGB": 128}, {"osDiskSizeGB": 256}),
    ({}, {"osDiskType": "Ephemeral"}),
    ({}, {"vnetSubnetID": "/subscriptions/x/subnets/y"}),
    ({}, {"availabilityZones": ["1"]}),
    ({"scaleSetPriority": "Regular"}, {"scaleSetPriority": "Spot"}),
    ({}, {"maxPods": 50}),
    ({"gpuProfile": {"driver": "Install"}}, {"gpuProfile": {"driver": "None"}}),
    ({"osSKU": "Ubuntu"}, {"osSKU": "Windows2022"}),
    ({}, {"gpuInstanceProfile": "MIG1g"}),
]


@pytest.mark.parametrize(("made", "changed"), FIXED)
def test_what_a_pool_is_made_with_cannot_be_changed(
    azure: Azure, made: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Source of the words: pulumi/pulumi-azure-native#959; of the list: pool_rules.FIXED."""
    azure.put(**made)
    [name] = changed
    error = refusal(azure, **changed)
    assert error.code == "PropertyChangeNotAllowed"
    assert error.message == f"Changing property 'properties.{name}' is not allowed."


@pytest.mark.parametrize(
    "changed",
    [
        {"count": 3},
        {"nodeLabels": {"apps": "phi"}},
        {"nodeTaints": ["sku=gpu:NoSchedule"]},
        {"tags": {"team": "ml"}},
        {"mode": "System", "count": 1},
        {"enableAutoScaling": True, "minCount": 1, "maxCount": 4},
        {"osSKU": "AzureLinux"},
        {"upgradeSettings": {"maxSurge": "33%"}},
    ],
)
def test_the_rest_is_changed_in_place(azure: Azure, changed: dict[str, Any]) -> None:
    """Source of the change of osSKU: `az aks nodepool update --os-sku` moves between Ubuntu and AzureLinux."""
    azure.put()
    assert changed.items() <= azure.put(**changed).items()


def test_sending_a_pool_again_as_it_is_changes_nothing_but_its_etag(azure: Azure) -> None:
    first = azure.put(nodeLabels={"apps": "phi"}, osDiskSizeGB=0)
    second = azure.put(nodeLabels={"apps": "phi"}, osDiskSizeGB=0)
    assert {**first, "eTag": ""} == {**second, "eTag": ""} and first["eTag"] != second["eTag"]


def test_labels_and_taints_that_are_not_sent_any_more_are_gone(azure: Azure) -> None:
    azure.put(nodeLabels={"apps": "phi"}, nodeTaints=["sku=gpu:NoSchedule"])
    pool = azure.put()
    assert "nodeLabels" not in pool and "nodeTaints" not in pool


@pytest.mark.parametrize(
    ("properties", "about"),
    [
        ({"count": -1}, "count"),
        ({"count": 1001}, "count"),
        ({"mode": "System", "count": 0}, "count"),
        ({"minCount": 1, "maxCount": 2}, "minCount"),
        ({"enableAutoScaling": True, "count": 1}, "minCount"),
        ({"enableAutoScaling": True, "count": 5, "minCount": 1, "maxCount": 4}, "minCount"),
        ({"spotMaxPrice": 1.5}, "spotMaxPrice"),
        ({"scaleSetPriority": "Spot", "mode": "System"}, "scaleSetPriority"),
        ({"nodeTaints": ["sku=gpu"]}, "nodeTaints"),
        ({"nodeLabels": {"kubernetes.azure.com/x": "y"}}, "nodeLabels"),
        ({"nodeLabels": {"apps": "not a label"}}, "nodeLabels"),
    ],
)
def test_a_pool_that_makes_no_sense_is_refused(azure: Azure, properties: dict[str, Any], about: str) -> None:
    error = refusal(azure, **properties)
    assert error.code == "InvalidParameter" and about in error.message


def test_an_unknown_vm_size_is_refused_with_the_sizes_there_are(azure: Azure) -> None:
    """Source of the words: hashicorp-education/learn-terraform-provision-aks-cluster#15."""
    error = refusal(azure, vmSize="Standard_NC99")
    assert error.code == "BadRequest" and GPU_SIZE.lower() in error.message
    assert error.message.startswith(
        "The VM size of Standard_NC99 is not allowed in your subscription in location 'eastus'."
    )


def test_a_retired_size_is_refused_only_where_the_region_is_told_so(azure: Azure) -> None:
    azure.put("before", vmSize="Standard_NC6s_v3")
    azure.arm.configure(regions={"eastus": {"retired": ["Standard_NC6s_v3"]}})
    assert refusal(azure, "after", vmSize="standard_nc6s_V3").code == "BadRequest"


def test_a_zone_that_the_region_has_not_is_refused(azure: Azure) -> None:
    azure.arm.configure(regions={"East US": {"zones": ["1", "2"]}})
    assert azure.put("one", availabilityZones=["2"])
    assert refusal(azure, "two", availabilityZones=["3"]).code == "AvailabilityZoneNotSupported"


def test_quota_counts_the_vcpus_of_all_pools_of_the_family(azure: Azure) -> None:
    """Source of the words: 1ChristianAlex/motordesk#14."""
    azure.arm.configure(regions={"eastus": {"quota": {A100: 72}}})
    azure.put("one", count=2)
    azure.put("other", vmSize="Standard_NC6s_v3", count=9)
    error = refusal(azure, "two", count=2)
    assert error.code == "ErrCode_InsufficientVCPUQuota"
    assert error.message.startswith(f"Insufficient vcpu quota requested 48, remaining 24 for family {A100} for region")
    assert azure.put("two", count=1)


def test_quota_stops_scaling_up_but_not_down_and_is_given_back(azure: Azure) -> None:
    azure.arm.configure(regions={"eastus": {"quota": {A100: 48}}})
    azure.put(count=2)
    assert refusal(azure, count=3).code == "ErrCode_InsufficientVCPUQuota"
    azure.put(count=1)
    azure.put("other", count=1)
    azure.arm.delete(azure.pool_id("other"))
    assert azure.put(count=2)["count"] == 2


def test_spot_machines_count_against_the_low_priority_quota(azure: Azure) -> None:
    """Source: Azure has one regional quota for spot, lowPriorityCores."""
    azure.arm.configure(regions={"eastus": {"quota": {A100: 0, "lowPriorityCores": 24}}})
    azure.put("one", scaleSetPriority="Spot")
    assert "lowPriorityCores" in refusal(azure, "two", scaleSetPriority="Spot").message


def test_a_cluster_keeps_a_system_pool(azure: Azure) -> None:
    with pytest.raises(ArmError, match="at least one system agent pool"):
        azure.arm.delete(azure.pool_id("system"))
