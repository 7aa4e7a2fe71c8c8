"""A local cloud for the measurements, and stacks of many Workspaces on it. Called by preview and up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from local_cloud.instance import Instance
from local_cloud.providers.azure_native.arm import Arm
from local_cloud.stack import PROJECT, Stack


@contextmanager
def cloud() -> Iterator[Instance]:
    """An instance of its own, with an Azure that is done at once."""
    instance = Instance("benchmark")
    instance.up()
    try:
        Arm(instance.folder).configure(operationSeconds=0)
        yield instance
    finally:
        instance.down()


def workspace(name: str) -> dict[str, Any]:
    """A Workspace that serves a small model on a CPU size, so that no quota ends the run."""
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "resource": {"instanceType": "Standard_D4s_v5", "labelSelector": {"matchLabels": {"apps": name}}},
        "inference": {"preset": {"name": "smollm2-135m-instruct"}},
    }


@contextmanager
def stack(instance: Instance, count: int, project: Path = PROJECT) -> Iterator[Stack]:
    """A stack of `count` Workspaces; taken away with all it made."""
    with TemporaryDirectory() as folder:
        files = []
        for index in range(count):
            path = Path(folder) / f"w{index}.yaml"
            path.write_text(yaml.safe_dump(workspace(f"w{index}")))
            files.append(str(path))
        config = {
            "kaito:cluster": {"resourceGroup": "local", "name": "local"},
            "kaito:imageRegistry": "example.azurecr.io/kaito",
            "kaito:workspaces": files,
        }
        made = Stack(instance.env(), Path(folder), config, project=project)
        try:
            yield made
        finally:
            made.remove()
