"""Resource groups, clusters, credentials."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from azure_cloud import SYSTEM, Azure

from local_cloud.providers.azure_native import Arm, ArmError, seed
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId
from local_cloud.providers.azure_native.settings import load_settings

GROUP = str(ResourceId(SUBSCRIPTION, "test"))


def test_an_id_is_read_as_users_write_it_and_printed_as_arm_does(azure: Azure) -> None:
    assert str(ResourceId.parse(azure.pool_id().replace("resourceGroups", "resourcegroups"))) == azure.pool_id()
    assert azure.arm.get(azure.cluster_id.upper())["id"] == azure.cluster_id
    with pytest.raises(ValueError, match="not the id"):
        ResourceId.parse("/subscriptions/x/resourceGroups/y/providers/Microsoft.Compute/disks/z")


def test_a_cluster_shows_its_pools_and_where_its_machines_are(azure: Azure) -> None:
    azure.put("gpu")
    shown = azure.arm.get(azure.cluster_id)["properties"]
    assert [pool["name"] for pool in shown["agentPoolProfiles"]] == ["system", "gpu"]
    assert shown["nodeResourceGroup"] == "MC_test_test_eastus" and shown["provisioningState"] == "Succeeded"


def test_pools_are_not_introduced_through_an_existing_cluster(azure: Azure) -> None:
    """Source: pulumi/pulumi-azure-nextgen#168."""
    body = {"location": "eastus", "properties": {"agentPoolProfiles": [SYSTEM, {**SYSTEM, "name": "more"}]}}
    with pytest.raises(ArmError, match="A new agent pool was introduced"):
        azure.arm.put(azure.cluster_id, body)


@pytest.mark.parametrize("profiles", [[], [{**SYSTEM, "mode": "User"}]])
def test_a_cluster_without_a_system_pool_is_refused(azure: Azure, profiles: list[dict[str, Any]]) -> None:
    with pytest.raises(ArmError, match="at least one system agent pool"):
        azure.arm.put(f"{azure.cluster_id}2", {"location": "eastus", "properties": {"agentPoolProfiles": profiles}})


def test_deleting_a_group_deletes_what_is_in_it(azure: Azure) -> None:
    azure.arm.delete(GROUP)
    azure.arm.wait(GROUP)
    for id in (GROUP, azure.cluster_id, azure.pool_id("system")):
        with pytest.raises(ArmError, match="Status=404"):
            azure.arm.get(id)


def test_a_group_stays_where_it_is(azure: Azure) -> None:
    azure.arm.put(GROUP, {"location": "EastUS", "tags": {"a": "b"}})
    with pytest.raises(ArmError, match="already exists in location 'eastus'"):
        azure.arm.put(GROUP, {"location": "westus"})


@pytest.mark.parametrize("admin", [True, False])
def test_credentials_are_the_local_clouds_own_kubeconfig(azure: Azure, admin: bool) -> None:
    (azure.folder / "kubeconfig").write_text("a kubeconfig")
    [config] = azure.arm.credentials(azure.cluster_id, admin)["kubeconfigs"]
    assert base64.b64decode(config["value"]) == b"a kubeconfig"
    assert config["name"] == ("clusterAdmin" if admin else "clusterUser")


def test_a_cluster_without_local_accounts_has_no_admin_credentials(azure: Azure) -> None:
    azure.arm.put(azure.cluster_id, {"location": "eastus", "properties": {"disableLocalAccounts": True}})
    with pytest.raises(ArmError, match="set to disable local accounts"):
        azure.arm.credentials(azure.cluster_id, admin=True)


def test_seeding_twice_leaves_what_is_there(kubernetes_azure: Azure) -> None:
    before = (kubernetes_azure.folder / "azure" / "state.json").read_text()
    seed(kubernetes_azure.folder, kubernetes_azure.name, "eastus")
    assert (kubernetes_azure.folder / "azure" / "state.json").read_text() == before


def test_a_setting_that_means_nothing_is_an_error_and_not_written(tmp_path: Path) -> None:
    arm = Arm(tmp_path)
    arm.configure(operationSeconds=1)
    with pytest.raises(Exception, match="no such setting: operationsecond"):
        arm.configure(operationsecond=2)
    with pytest.raises(Exception, match="a fault needs a code"):
        arm.inject(pool="gpu")
    assert (tmp_path / "azure" / "config.json").read_text() == '{\n "operationSeconds": 1\n}'


def test_the_settings_in_the_docs_are_settings(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "local-cloud.md").read_text().split("### Settings and faults")[1]
    settings = json.loads(text.split("```json")[1].split("```")[0])
    Arm(tmp_path).configure(**settings)
    assert len(load_settings(tmp_path / "azure").faults) == 3
