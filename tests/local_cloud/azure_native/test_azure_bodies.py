"""What a program may send: Azure's models decide, and the installed SDK's names."""

import ast
import csv
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import local_cloud.providers.azure_native as stand_in
from local_cloud.providers.azure_native.bodies import problems, writable
from local_cloud.providers.azure_native.resource_types import resource_types
from local_cloud.providers.azure_native.vm_sizes import find_vm_size, vm_sizes

PACKAGE = Path(stand_in.__file__).parent
MODULES = {
    "ResourceGroup": "resources/resource_group.py",
    "ManagedCluster": "containerservice/managed_cluster.py",
    "AgentPool": "containerservice/agent_pool.py",
}


def sdk_properties(kind: str, suffix: str = "") -> list[str]:
    """Names on the wire of the properties of a class of the installed SDK, read without importing its 155 MB."""
    found = find_spec("pulumi_azure_native")
    assert found is not None and found.origin is not None
    tree = ast.parse((Path(found.origin).parent / MODULES[kind]).read_text())
    [shown] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind + suffix]
    names = []
    for function in (node for node in shown.body if isinstance(node, ast.FunctionDef)):
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        if any("property" in text for text in decorators):
            named = [text.split("name=")[1].strip("')") for text in decorators if "name=" in text]
            names.append(named[0] if named else function.name)
    return sorted(names)


@pytest.mark.parametrize("kind", MODULES)
def test_inputs_and_outputs_are_those_of_the_installed_sdk(kind: str) -> None:
    """Source: the installed distribution pulumi-azure-native."""
    known = json.loads((PACKAGE / "sdk_properties.json").read_text())[kind]
    assert known == {"inputs": sdk_properties(kind, "Args"), "outputs": sdk_properties(kind)}


@pytest.mark.parametrize("kind", ["ManagedCluster", "AgentPool"])
def test_every_input_of_the_sdk_is_a_property_that_azure_lets_be_written(kind: str) -> None:
    """Source: the installed models of azure-mgmt-containerservice."""
    [type] = [type for type in resource_types().values() if type.kind == kind]
    assert type.inputs - {part.name for part in type.path} <= writable(kind)


@pytest.mark.parametrize(
    ("properties", "path", "words"),
    [
        ({"vmsize": "Standard_NC6s_v3"}, "properties.vmsize", "did you mean vmSize?"),
        ({"count": "2"}, "properties.count", "integer"),
        ({"enableAutoScaling": "yes"}, "properties.enableAutoScaling", "boolean"),
        ({"nodeTaints": "sku=gpu:NoSchedule"}, "properties.nodeTaints", "array"),
        ({"nodeLabels": {"apps": 1}}, "properties.nodeLabels.apps", "string"),
        ({"gpuProfile": {"driver": "Maybe"}}, "properties.gpuProfile.driver", "one of Install, None"),
        ({"scaleSetPriority": "Cheap"}, "properties.scaleSetPriority", "one of Spot, Regular"),
        ({"upgradeSettings": 3}, "properties.upgradeSettings", "object"),
        ({"availabilityZones": [1]}, "properties.availabilityZones[0]", "string"),
        ({"provisioningState": "Succeeded"}, "properties.provisioningState", "like"),
    ],
)
def test_what_does_not_fit_the_model_is_named(properties: dict[str, Any], path: str, words: str) -> None:
    [problem] = problems("AgentPool", {"properties": properties})
    assert problem.path == path and words in problem.expected


def test_a_pool_as_this_project_sends_it_fits_the_model() -> None:
    pool = {
        "vmSize": "Standard_NC6s_v3", "count": 1, "mode": "User", "type": "VirtualMachineScaleSets", "osType": "Linux",
        "osSKU": "Ubuntu", "osDiskSizeGB": 128, "nodeLabels": {"apps": "phi"}, "nodeTaints": ["sku=gpu:NoSchedule"],
        "scaleSetPriority": "Spot", "spotMaxPrice": -1, "gpuProfile": {"driver": "Install"}, "tags": {"a": "b"},
    }  # fmt: skip
    assert problems("AgentPool", {"properties": pool}) == []


def test_vm_sizes_agree_with_the_resource_skus_api() -> None:
    """Source: recorded answers of the Resource SKUs API (southcentralus): vCPUs, MemoryGB, GPUs, family."""
    recorded = {
        "Standard_NC16as_T4_v3": (16, 110, 1, "Standard NCASv3_T4 Family"),
        "Standard_NC24ads_A100_v4": (24, 220, 1, "StandardNCADSA100v4Family"),
        "Standard_NC6s_v3": (6, 112, 1, "standardNCSv3Family"),
    }
    sizes = {name: find_vm_size(name.upper()) for name in recorded}
    shown = {n: (s.vcpus, s.memory_bytes // 2**30, s.gpus, s.family) for n, s in sizes.items() if s}
    assert shown == recorded


def test_every_vm_size_is_whole_and_listed_once() -> None:
    lines = [line for line in (PACKAGE / "vm_sizes.csv").read_text().splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    assert len(rows) == len(vm_sizes()) > 0
    assert all(size.vcpus >= 2 and size.memory_bytes >= 7 * 2**30 and size.family for size in vm_sizes().values())
    assert all((size.gpus > 0) == size.name.startswith("Standard_N") for size in vm_sizes().values())
