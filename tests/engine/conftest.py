"""A stack and an Azure for each test; Kubernetes is the shared local cloud's, in a namespace of the test's own."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cloud.instance import Instance
from local_cloud.nodes import core_api
from local_cloud.providers.azure_native import seed, unseed
from local_cloud.providers.azure_native.arm import Arm
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId
from local_cloud.providers.kubernetes.client import ApiError, Cluster
from local_cloud.stack import Stack


@dataclass(frozen=True)
class Azure:
    """One cluster in an Azure of the test's own; resource group and cluster have the same name."""

    name: str
    arm: Arm

    @property
    def pools(self) -> set[str]:
        """The names of its pools but the system's."""
        cluster = self.arm.get(str(ResourceId(SUBSCRIPTION, self.name, self.name)))
        found = {profile["name"] for profile in cluster["properties"].get("agentPoolProfiles", [])}
        return {name for name in found if name.startswith("ws")}


@pytest.fixture
def azure(cloud: Instance, tmp_path: Path) -> Iterator[Azure]:
    """An AKS cluster of the test's own."""
    folder = tmp_path / "azure-instance"
    folder.mkdir()
    shutil.copy(cloud.kubeconfig, folder / "kubeconfig")
    made = Azure(f"t{uuid.uuid4().hex[:10]}", Arm(folder))
    made.arm.configure(operationSeconds=0.2)
    seed(folder, made.name, "local")
    yield made
    unseed(folder, made.name)


@pytest.fixture
def files(tmp_path: Path, namespace: str) -> Callable[..., list[str]]:
    """Writes objects to one file each, all in the test's namespace."""

    def write(*objects: dict[str, Any]) -> list[str]:
        paths = []
        for one in objects:
            one["metadata"].setdefault("namespace", namespace)
            path = tmp_path / f"{one['metadata']['name']}-{one['kind'].lower()}.yaml"
            path.write_text(yaml.safe_dump(one))
            paths.append(str(path))
        return paths

    return write


@pytest.fixture
def make_stack(
    cloud: Instance, azure: Azure, files: Callable[..., list[str]], namespace: str, tmp_path: Path
) -> Iterator[Callable[..., Stack]]:
    """Makes a stack of this repository's program with these objects in its files."""
    made: list[Stack] = []

    def make(*objects: dict[str, Any], **config: Any) -> Stack:
        values = {
            "kaito:cluster": {"resourceGroup": azure.name, "name": azure.name},
            "kaito:imageRegistry": "example.azurecr.io/kaito",
            "kaito:workspaces": files(*objects),
            **{f"kaito:{key}": value for key, value in config.items()},
        }
        environment = {**cloud.env(), "KAITO_LOCAL_CLOUD": str(azure.arm.instance_dir)}
        made.append(Stack(environment, tmp_path, values))
        return made[-1]

    yield make
    for stack in made:
        clear(stack, cloud, namespace)


def clear(stack: Stack, cloud: Instance, namespace: str) -> None:
    """Deletes what is not in the test's namespace and Azure, which go with their fixtures: `destroy` takes seconds."""
    with closing(Cluster(str(cloud.kubeconfig))) as server:
        for one in stack.made():
            live = one.get("outputs") or one["inputs"]
            if one["type"].startswith("kubernetes:") and live["metadata"].get("namespace") != namespace:
                with suppress(ApiError):
                    server.call("DELETE", server.path(live, live["metadata"]["name"]), propagationPolicy="Background")


@pytest.fixture
def pods(cloud: Instance, namespace: str) -> Callable[[], list[Any]]:
    """The pods of the test's namespace, as they are now."""

    def read() -> list[Any]:
        with core_api(cloud.kubeconfig) as api:
            return list(api.list_namespaced_pod(namespace).items)

    return read


@pytest.fixture
def restricted(cloud: Instance, namespace: str) -> str:
    """The test's namespace, which takes no pod but restricted ones."""
    with core_api(cloud.kubeconfig) as api:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        api.patch_namespace(namespace, {"metadata": {"labels": labels}})
    return namespace
