"""The plugin process, spoken to as the engine does: it answers as azure-native.

Source, unless a test names another: pulumi/pulumi-azure-native provider/pkg/provider/provider.go and diff.go, and
provider/pkg/gen/replacement.go for what is replaced.
"""

import base64
import re
import threading
import time
from importlib.metadata import version
from typing import Any

import grpc
import pytest
from azure_cloud import Azure, Plugin, init_failed, started_plugin
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from local_cloud.providers.wire import UNKNOWN, Secret, decode, encode

KINDS = provider_pb2.PropertyDiff.Kind


def test_it_says_the_version_of_the_installed_sdk(reader: Plugin) -> None:
    assert reader.stub.GetPluginInfo(empty_pb2.Empty()).version == version("pulumi-azure-native")


def test_groups_and_clusters_get_eight_random_digits_and_keep_them(reader: Plugin) -> None:
    for kind, part in (("ResourceGroup", "resourceGroupName"), ("ManagedCluster", "resourceName")):
        news = {"location": "eastus", **({} if kind == "ResourceGroup" else {"resourceGroupName": "g"})}
        first = decode(reader.check(kind, news).inputs)
        assert re.fullmatch("res[0-9a-f]{8}", first[part]) and first["__createBeforeDelete"] is True
        assert decode(reader.check(kind, news, olds=first).inputs) == first


def test_a_pool_without_a_name_gets_the_logical_name(reader: Plugin) -> None:
    """Source: pulumi/pulumi-azure-native#519."""
    inputs = decode(reader.check("AgentPool", {"resourceGroupName": "g", "resourceName": "c"}, name="gpu").inputs)
    assert inputs["agentPoolName"] == "gpu" and "__createBeforeDelete" not in inputs


def test_a_cluster_is_where_its_group_is(reader: Plugin) -> None:
    checked = reader.check("ManagedCluster", {"resourceGroupName": reader.azure.name})
    assert decode(checked.inputs)["location"] == "eastus" and not checked.failures
    unknown = decode(reader.check("ManagedCluster", {"resourceGroupName": UNKNOWN}).inputs)
    assert unknown["location"] is UNKNOWN


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"resourceGroupName": None}, "missing required property 'resourceGroupName'"),
        ({"agentPoolName": "GPU"}, "'agentPoolName' does not match expression '^[a-z][a-z0-9]{0,11}$'"),
        ({"agentPoolName": "a" * 13}, "'agentPoolName' is too long (13): at most 12 characters allowed"),
        ({"count": "1"}, "'count' should be of type 'integer' but got a string"),
        ({"gpuProfile": {"driver": 3}}, "'gpuProfile.driver' should be of type 'string' but got a number"),
        ({"vmSize": UNKNOWN, "agentPoolName": UNKNOWN}, None),
    ],
)
def test_what_is_wrong_with_the_inputs_shows_at_preview(
    reader: Plugin, inputs: dict[str, Any], reason: str | None
) -> None:
    failures = reader.check("AgentPool", {**reader.inputs(), **inputs}).failures
    assert [failure.reason for failure in failures] == ([reason] if reason else [])


def test_a_preview_echoes_inputs_and_knows_nothing_else(reader: Plugin) -> None:
    created = reader.create(reader.inputs(nodeLabels={"apps": "phi"}), preview=True)
    outputs = decode(created.properties)
    assert created.id == "" and outputs["nodeLabels"] == {"apps": "phi"}
    assert outputs["provisioningState"] is outputs["name"] is outputs["osDiskType"] is UNKNOWN


@pytest.mark.parametrize(
    ("change", "path", "kind"),
    [
        ({"count": 2}, "count", "UPDATE"),
        ({"tags": {"a": "b"}}, "tags", "ADD"),
        ({"nodeLabels": None}, "nodeLabels", "DELETE"),
        ({"nodeLabels": {"apps": "phi", "kaito.sh/workspace": "b"}}, 'nodeLabels["kaito.sh/workspace"]', "UPDATE"),
        ({"nodeTaints": ["a=b:NoSchedule", "c=d:NoSchedule"]}, "nodeTaints[1]", "ADD"),
        ({"osDiskSizeGB": 256}, "osDiskSizeGB", "ADD"),
        ({"vmSize": "Standard_NC6s_v3"}, "vmSize", "UPDATE_REPLACE"),
        ({"vmSize": UNKNOWN}, "vmSize", "UPDATE_REPLACE"),
        ({"gpuInstanceProfile": "MIG1g"}, "gpuInstanceProfile", "ADD_REPLACE"),
        ({"networkProfile": {"nodePublicIPTags": []}}, "networkProfile", "ADD"),
        ({"agentPoolName": "other"}, "agentPoolName", "UPDATE_REPLACE"),
        ({"resourceName": "other"}, "resourceName", "UPDATE_REPLACE"),
        ({"resourceGroupName": "other"}, "resourceGroupName", "UPDATE_REPLACE"),
    ],
)
def test_a_difference_is_an_update_or_a_replacement(
    reader: Plugin, change: dict[str, Any], path: str, kind: str
) -> None:
    labels = {"apps": "phi", "kaito.sh/workspace": "a"}
    old = reader.inputs(nodeLabels=labels, nodeTaints=["a=b:NoSchedule"])
    diff = reader.diff("AgentPool", old, {**old, **change})
    assert {name: KINDS.Name(entry.kind) for name, entry in diff.detailedDiff.items()} == {path: kind}
    assert list(diff.replaces) == ([path] if "REPLACE" in kind else [])
    assert diff.deleteBeforeReplace == ("REPLACE" in kind) and diff.changes == diff.DIFF_SOME


def test_equal_inputs_are_no_difference(reader: Plugin) -> None:
    old = {"resourceGroupName": "g", "location": "East US"}
    diff = reader.diff("ResourceGroup", old, {**old, "location": "eastus"})
    assert diff.changes == diff.DIFF_NONE and not diff.detailedDiff


def test_a_randomly_named_resource_is_replaced_new_first(reader: Plugin) -> None:
    old = {"resourceGroupName": "g12345678", "location": "eastus", "__createBeforeDelete": True}
    diff = reader.diff("ResourceGroup", old, {**old, "location": "westus"})
    assert list(diff.replaces) == ["location"] and not diff.deleteBeforeReplace


def test_parts_of_a_clusters_network_replace_it_and_others_do_not(reader: Plugin) -> None:
    old = {"networkProfile": {"podCidr": "10.1.0.0/16", "loadBalancerSku": "basic"}}
    pod = reader.diff("ManagedCluster", old, {"networkProfile": {**old["networkProfile"], "podCidr": "10.2.0.0/16"}})
    sku = reader.diff("ManagedCluster", old, {"networkProfile": {**old["networkProfile"], "loadBalancerSku": "x"}})
    assert list(pod.replaces) == ["networkProfile.podCidr"] and list(sku.replaces) == []


def test_a_pool_is_created_read_changed_and_deleted(plugin: Plugin) -> None:
    inputs = plugin.inputs(nodeLabels={"apps": "phi"})
    created = plugin.create(inputs)
    outputs = decode(created.properties)
    assert created.id == plugin.azure.pool_id() and outputs["provisioningState"] == "Succeeded"
    assert outputs["name"] == "gpu" and outputs["type"] == "Microsoft.ContainerService/managedClusters/agentPools"
    assert outputs["azureApiVersion"] == "2025-09-01" and outputs["powerState"] == {"code": "Running"}
    assert "resourceGroupName" not in outputs and outputs["nodeLabels"] == {"apps": "phi"}
    changed = decode(plugin.update(created.id, outputs, {**inputs, "nodeLabels": {"apps": "llama"}}).properties)
    assert changed["nodeLabels"] == {"apps": "llama"} == plugin.azure.pool()["nodeLabels"]
    plugin.delete(created.id)
    assert plugin.read(created.id).id == ""
    plugin.delete(created.id)


def test_a_pool_that_is_there_already_is_not_created(plugin: Plugin) -> None:
    plugin.azure.put(count=0)
    with pytest.raises(grpc.RpcError) as refused:
        plugin.create(plugin.inputs())
    assert refused.value.details() == f"cannot create already existing resource '{plugin.azure.pool_id()}'"
    assert init_failed(refused.value) is None


def test_a_refusal_leaves_nothing_behind_and_is_said_as_azure_native_does(plugin: Plugin) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        plugin.create(plugin.inputs(vmsize="Standard_NC6s_v3"))
    assert refused.value.details().startswith(
        'Status=400 Code="InvalidParameter" Message="The value of parameter vmsize'
    )
    assert init_failed(refused.value) is None and plugin.read(plugin.azure.pool_id()).id == ""


def test_an_operation_that_fails_late_is_recorded_with_its_error(plugin: Plugin) -> None:
    plugin.azure.inject("AllocationFailed", pool="gpu", when="end")
    with pytest.raises(grpc.RpcError) as failed:
        plugin.create(plugin.inputs())
    recorded = init_failed(failed.value)
    assert recorded.id == plugin.azure.pool_id() and 'Code="AllocationFailed"' in recorded.reasons[0]
    assert decode(recorded.properties)["provisioningState"] == "Failed"
    assert decode(recorded.inputs) == plugin.inputs()


def test_the_engines_timeout_is_kept(plugin: Plugin) -> None:
    plugin.azure.inject(seconds=30, pool="gpu")
    with pytest.raises(grpc.RpcError) as failed:
        plugin.create(plugin.inputs(), timeout=0.3)
    assert init_failed(failed.value).reasons == ["operation timed out"]


@pytest.mark.parametrize(("code", "status"), [("TooManyRequests", 429), ("InternalServerError", 500)])
def test_what_passes_is_tried_again(plugin: Plugin, code: str, status: int) -> None:
    """Source: provider/pkg/azure/client_azcore.go, initPipelineOpts: four tries."""
    plugin.azure.inject(code, status=status, pool="gpu", operation="create", times=3)
    assert plugin.create(plugin.inputs()).id


def test_a_conflict_of_aks_is_not_tried_again_but_azures_general_one_is(plugin: Plugin) -> None:
    """Source: client_azcore.go, shouldRetryConflict."""
    plugin.azure.inject("AnotherOperationInProgress", pool="gpu", times=1)
    assert plugin.create(plugin.inputs()).id
    plugin.azure.inject("OperationNotAllowed", pool="gpu2", times=1)
    with pytest.raises(grpc.RpcError, match='Status=409 Code="OperationNotAllowed"'):
        plugin.create(plugin.inputs("gpu2"))


def test_two_pools_of_a_cluster_at_once_conflict(plugin: Plugin) -> None:
    plugin.azure.inject(seconds=1, pool="gpu")
    first = threading.Thread(target=plugin.create, args=[plugin.inputs()])
    first.start()
    wait_for_pool(plugin.azure)
    with pytest.raises(grpc.RpcError, match="Another agentpool operation"):
        plugin.create(plugin.inputs("other"))
    first.join()


def test_a_cancelled_creation_is_recorded_and_ends_in_azure(kubernetes_azure: Azure) -> None:
    kubernetes_azure.inject(seconds=1, pool="gpu")
    with started_plugin(kubernetes_azure) as plugin, pytest.raises(grpc.RpcError) as cancelled:
        threading.Timer(0.3, lambda: plugin.stub.Cancel(empty_pb2.Empty())).start()
        plugin.create(plugin.inputs())
    assert init_failed(cancelled.value).id == kubernetes_azure.pool_id()
    kubernetes_azure.arm.wait(kubernetes_azure.pool_id())
    assert kubernetes_azure.pool()["provisioningState"] == "Succeeded"


def test_a_pool_whose_plugin_was_killed_is_there_afterwards(kubernetes_azure: Azure) -> None:
    kubernetes_azure.inject(seconds=0.6, pool="gpu")
    with started_plugin(kubernetes_azure) as plugin:
        lost = plugin.stub.Create.future(
            provider_pb2.CreateRequest(
                urn="urn:pulumi:dev::p::azure-native:containerservice:AgentPool::gpu",
                properties=encode(plugin.inputs()),
            )
        )
        wait_for_pool(kubernetes_azure)
        plugin.process.kill()
        assert lost.exception() is not None
    with started_plugin(kubernetes_azure) as next_plugin:
        kubernetes_azure.arm.wait(kubernetes_azure.pool_id())
        assert kubernetes_azure.pool()["provisioningState"] == "Succeeded"
        with pytest.raises(grpc.RpcError, match="cannot create already existing resource"):
            next_plugin.create(next_plugin.inputs())


def test_refresh_shows_what_somebody_changed_and_nothing_else(plugin: Plugin) -> None:
    inputs = plugin.inputs(nodeLabels={"apps": "phi"})
    created = plugin.create(inputs)
    outputs = decode(created.properties)
    assert decode(plugin.read(created.id, inputs, outputs).inputs) == inputs
    plugin.azure.put(count=0, nodeLabels={"apps": "hand", "by": "az"})
    read = decode(plugin.read(created.id, inputs, outputs).inputs)
    assert read == {**inputs, "nodeLabels": {"apps": "hand", "by": "az"}}


def test_a_pool_is_imported_by_its_id(plugin: Plugin) -> None:
    plugin.azure.put(count=0, nodeLabels={"apps": "phi"})
    read = plugin.read(plugin.azure.pool_id())
    inputs, outputs = decode(read.inputs), decode(read.properties)
    sent = plugin.inputs(nodeLabels={"apps": "phi"})
    assert {name for name, value in sent.items() if inputs.get(name) != value} == {"azureApiVersion"}
    assert inputs["type"] == "VirtualMachineScaleSets" and "provisioningState" not in inputs
    assert outputs["provisioningState"] == "Succeeded" and outputs["azureApiVersion"] == "2025-09-01"


@pytest.mark.parametrize("who", ["Admin", "User"])
def test_credentials_are_the_clusters_kubeconfig_and_not_marked_secret(plugin: Plugin, who: str) -> None:
    """Source of the missing mark: pulumi/pulumi-azure-native#692 and its examples."""
    function = f"containerservice:listManagedCluster{who}Credentials"
    names = {"resourceGroupName": plugin.azure.name, "resourceName": plugin.azure.name}
    [config] = plugin.invoke(function, **names)["kubeconfigs"]
    assert base64.b64decode(config["value"]) == (plugin.azure.folder / "kubeconfig").read_bytes()
    assert plugin.invoke(function, **{**names, "resourceName": UNKNOWN}) == {"kubeconfigs": UNKNOWN}


def test_getters_show_what_is_there(plugin: Plugin) -> None:
    names = {"resourceGroupName": plugin.azure.name, "resourceName": plugin.azure.name}
    pool = plugin.invoke("containerservice:getAgentPool", **names, agentPoolName="system")
    assert pool["id"] == plugin.azure.pool_id("system") and pool["vmSize"] == "Standard_D4s_v5"
    with pytest.raises(grpc.RpcError, match="Status=404"):
        plugin.invoke("containerservice:getAgentPool", **names, agentPoolName="none")


def test_a_secret_input_is_a_secret_output(plugin: Plugin) -> None:
    inputs = plugin.inputs(tags=Secret({"key": "value"}))
    assert decode(plugin.check("AgentPool", inputs).inputs)["tags"] == Secret({"key": "value"})
    assert decode(plugin.create(inputs).properties)["tags"] == Secret({"key": "value"})


def wait_for_pool(azure: Azure, pool: str = "gpu") -> None:
    """Waits until Azure has accepted the pool."""
    end = time.monotonic() + 10
    while pool not in azure.arm.pools(azure.name, azure.name):
        assert time.monotonic() < end, "the pool never came"
        time.sleep(0.02)
