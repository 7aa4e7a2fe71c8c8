"""Every example and every stack of this repository runs."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cloud.instance import Instance
from local_cloud.nodes import apply_node, core_api, delete_node, node_manifest
from local_cloud.stack import PROJECT, Stack
from tests.engine.conftest import Azure
from tests.engine.workspaces import config_map, inference, secret

MakeStack = Callable[..., Stack]
FILES = ("workspace-*.yaml", "inference-set-*.yaml")
WORKSPACES = sorted(path for name in FILES for path in PROJECT.glob(f"examples/**/{name}"))
STACKS = sorted(set(PROJECT.glob("stacks/Pulumi.*.yaml")) - {PROJECT / "stacks/Pulumi.demo.yaml"})  # of `make demo`
CLUSTER = "/subscriptions/0/resourceGroups/mine/providers/Microsoft.ContainerService/managedClusters/mine"


@pytest.mark.parametrize("path", WORKSPACES, ids=lambda path: path.stem)
def test_kaito_plan_accepts_each_example_or_says_what_to_fill_in(path: Path) -> None:
    nodes = "existing" if "existing" in str(path) else "aks"
    command = [str(PROJECT / ".venv/bin/python"), "-m", "kaito_components.cli", "plan", "--nodes", nodes, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60)
    unfilled = "_HERE" in path.read_text()
    assert done.returncode == (1 if unfilled else 0), done.stderr
    assert ("placeholder" in done.stderr) == unfilled


def importing(cloud: Instance, azure: Azure) -> dict[str, str]:
    """The environment of a program outside of this repository that imports the package."""
    return {**cloud.env(), "KAITO_LOCAL_CLOUD": str(azure.arm.instance_dir), "PYTHONPATH": str(PROJECT)}


def test_a_program_that_imports_the_package_serves_a_model_on_a_cpu_size(
    cloud: Instance, azure: Azure, namespace: str, tmp_path: Path
) -> None:
    settings = {"my-platform:resourceGroup": azure.name, "my-platform:cluster": azure.name}
    config = {**settings, "my-platform:namespace": namespace}
    stack = Stack(importing(cloud, azure), tmp_path, config, project=PROJECT / "examples" / "import-into-program")
    try:
        stack.up()
        outputs = stack.outputs()
        assert outputs["url"] == f"http://smollm2.{namespace}.svc.cluster.local/v1"
        assert outputs["model"] == "smollm2-135m-instruct" and outputs["status"]["workspaceReady"] is True
    finally:
        stack.remove()


def test_the_program_that_kaito_convert_writes_runs(
    cloud: Instance, azure: Azure, namespace: str, tmp_path: Path
) -> None:
    objects = [inference("phi", config="c"), config_map("c", "vllm: {max-num-seqs: 8}"), secret("push")]
    for one in objects:
        one["metadata"]["namespace"] = namespace
    (tmp_path / "w.yaml").write_text(yaml.safe_dump_all(objects))
    command = [str(PROJECT / ".venv/bin/python"), "-m", "kaito_components.cli", "convert", str(tmp_path / "w.yaml")]
    program = tmp_path / "converted"
    program.mkdir()
    (program / "__main__.py").write_text(subprocess.check_output(command, text=True, cwd=PROJECT, timeout=60))
    runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": str(PROJECT / ".venv")}}
    (program / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "converted", "runtime": runtime}))
    settings = {"resourceGroup": azure.name, "cluster": azure.name, f"{namespace}-push-dockerconfigjson": "{}"}
    config = {f"converted:{key}": value for key, value in settings.items()}
    stack = Stack(importing(cloud, azure), tmp_path, config, project=program)
    try:
        stack.up()
        assert stack.preview("--expect-no-changes").ops == {} and len(azure.pools) == 1
        with core_api(cloud.kubeconfig) as api:
            assert api.read_namespaced_config_map("c", namespace).data and api.read_namespaced_secret("push", namespace)
    finally:
        stack.remove()


def existing(namespace: str, **resource: Any) -> dict[str, Any]:
    """A Workspace for nodes that carry its namespace's name as a label."""
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": "phi"},
        "resource": {"labelSelector": {"matchLabels": {"test": namespace}}, **resource},
        "inference": {"preset": {"name": "phi-4-mini-instruct"}},
    }


@pytest.fixture
def add_node(cloud: Instance, namespace: str) -> Iterator[Callable[..., None]]:
    """Adds a node with one GPU, or with what is given, and the namespace's name as a label."""
    name = f"{namespace}-vmss000000"

    def add(**offers: str) -> None:
        node = node_manifest(
            name, "mine", CLUSTER, "any", 8, 2**36, 0 if offers else 1, "here", {"test": namespace}, []
        )
        for kind in ("capacity", "allocatable"):
            node["status"][kind] |= offers
        apply_node(cloud.kubeconfig, node)

    yield add
    delete_node(cloud.kubeconfig, name)


def test_on_existing_nodes_preview_misses_nodes_and_up_uses_them(
    cloud: Instance, make_stack: MakeStack, namespace: str, azure: Azure, add_node: Callable[..., None]
) -> None:
    own = {"nodes": {"provider": "existing"}, "cluster": {"kubeconfig": str(cloud.kubeconfig)}}
    stack = make_stack(existing(namespace), **own)
    refused = stack.preview(check=False)
    assert refused.code != 0 and f"test={namespace}" in refused.text
    add_node()
    stack.up()
    assert stack.preview("--expect-no-changes").ops == {} and azure.pools == set()
    stack.destroy()


def test_a_model_runs_on_a_slice_of_a_gpu(
    cloud: Instance, make_stack: MakeStack, namespace: str, add_node: Callable[..., None]
) -> None:
    own = {"nodes": {"provider": "existing"}, "cluster": {"kubeconfig": str(cloud.kubeconfig)}}
    stack = make_stack(existing(namespace, partition={"mode": "mig", "profile": "1g.10gb"}), **own)
    add_node(**{"nvidia.com/mig-1g.5gb": "7"})
    refused = stack.preview(check=False)
    assert refused.code != 0 and "0 1g.10gb slices allocatable" in refused.text
    add_node(**{"nvidia.com/mig-1g.10gb": "7"})
    stack.up()
    stack.destroy()


@pytest.mark.parametrize("stack_file", STACKS, ids=lambda path: path.stem)
def test_each_stack_of_the_repository_previews_or_says_what_to_fill_in(
    cloud: Instance, stack_file: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load(stack_file.read_text())["config"]
    stack = Stack({**os.environ, **cloud.env()}, tmp_path, config)
    try:
        done = stack.preview(check=False)
        if "<" in stack_file.read_text().split("kaito:cluster", 1)[1]:
            assert done.code != 0 and "placeholder" in done.text
        elif "existing" in stack_file.name:
            assert done.code != 0 and "apps=phi-4-mini" in done.text  # this cloud has no such nodes
        else:
            assert done.code == 0, done.text
    finally:
        stack.remove()
