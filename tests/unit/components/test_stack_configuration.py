"""The stack's configuration: what it may hold, and how each mistake is said, all of them at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from kaito_components.config import KEYS, StackConfig
from tests.unit.components.mocked_engine import KUBECONFIG, Mocked

ROOT = Path(__file__).parents[3]
WORKSPACE = str(ROOT / "examples/quickstart/workspace-phi-4-mini.yaml")
ON_OWN_NODES = str(ROOT / "examples/existing-nodes/workspace-phi-4-mini.yaml")
CLUSTER = {"resourceGroup": "g", "name": "c"}
Load = Callable[..., Any]
Refusal = Callable[..., str]


def texts(values: dict[str, Any]) -> dict[str, str]:
    """As the engine hands configuration over: what is not text is JSON."""
    return {f"kaito:{key}": one if isinstance(one, str) else json.dumps(one) for key, one in values.items()}


@pytest.fixture
def load(mocked: Mocked, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads and makes a configuration; returns what is registered."""

    def load_values(**values: Any) -> Any:
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(texts(values)))
        return mocked.run(lambda: StackConfig.load().make() and None, texts(values))

    return load_values


@pytest.fixture
def refusal(load: Load) -> Refusal:
    """What is said about a configuration that cannot be used."""

    def refuse(**values: Any) -> str:
        with pytest.raises(pulumi.RunError) as refused:
            load(**values)
        return str(refused.value)

    return refuse


def config_map(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def write(folder: Path, files: dict[str, Any]) -> list[str]:
    """The paths of YAML files with these contents."""
    for stem, value in files.items():
        (folder / f"{stem}.yaml").write_text(yaml.safe_dump(value))
    return [str(folder / f"{stem}.yaml") for stem in files]


def test_files_become_workspaces_on_the_cluster(load: Load, mocked: Mocked) -> None:
    load(cluster=CLUSTER, workspaces=[WORKSPACE])
    assert mocked.one("kaito:index:Workspace").name == "workspace-phi-4-mini"
    assert mocked.one("AgentPool").inputs["resourceGroupName"] == "g"


def test_an_entry_has_nodes_and_a_wait_of_its_own(load: Load, mocked: Mocked) -> None:
    entry = {"file": WORKSPACE, "nodes": {"minCount": 1, "maxCount": 3}, "wait": {"until": "none"}}
    load(cluster=CLUSTER, nodes={"spot": True}, workspaces=[entry])
    pool = mocked.one("AgentPool").inputs
    assert pool["scaleSetPriority"] == "Spot" and pool["maxCount"] == 3
    assert mocked.one("WorkspaceReady").inputs["until"] == "none"


def test_what_is_for_pools_does_not_reach_an_entry_on_existing_nodes(load: Load, mocked: Mocked) -> None:
    inline = yaml.safe_load(Path(ON_OWN_NODES).read_text()) | {"metadata": {"name": "on-own-nodes"}}
    entry = {"inline": inline, "nodes": {"provider": "existing"}}
    load(cluster=CLUSTER, nodes={"spot": True}, workspaces=[WORKSPACE, entry])
    assert len(mocked.of("AgentPool")) == 1 and len(mocked.of("ExistingNodes")) == 1


def test_a_workspace_may_stand_in_the_configuration_itself(load: Load, mocked: Mocked) -> None:
    inline = yaml.safe_load(Path(WORKSPACE).read_text())
    load(cluster=CLUSTER, workspaces=[{"inline": inline}])
    assert mocked.one("Deployment").name == "workspace-phi-4-mini-deployment"


@pytest.mark.parametrize("given", ["path", "content", "$KUBECONFIG", "$CLUSTERS/own"])
def test_a_kubeconfig_is_a_path_or_its_content(
    load: Load, mocked: Mocked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    (tmp_path / "own").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "own"))
    monkeypatch.setenv("CLUSTERS", str(tmp_path))
    value = {"path": str(tmp_path / "own"), "content": KUBECONFIG}.get(given, given)
    load(cluster={"kubeconfig": value}, nodes={"provider": "existing"}, workspaces=[ON_OWN_NODES])
    held = mocked.one("providers:kubernetes").inputs["kubeconfig"]
    assert pulumi.runtime.rpc.unwrap_rpc_secret(held) == KUBECONFIG


MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"colour": "blue"},
        "kaito:colour: is not a key; keys are workspaces, cluster, nodes, azure, monitoring, network, imageRegistry",
    ),
    ({"cluster": None}, "kaito:cluster: is missing: give {resourceGroup, name}, or {kubeconfig}"),
    ({"cluster": "aks"}, "kaito:cluster: must be an object with the keys resourceGroup, name, admin"),
    ({"cluster": {"resourceGroup": "g"}}, "kaito:cluster: needs both resourceGroup and name"),
    ({"cluster": {**CLUSTER, "kubeconfig": "x"}}, "kaito:cluster: needs either resourceGroup and name"),
    ({"cluster": {"resourceGroup": "<mine>", "name": "c"}}, "'<mine>' is a placeholder: pulumi config set --path"),
    ({"cluster": {**CLUSTER, "name": ""}}, "kaito:cluster.name: is empty"),
    ({"cluster": {**CLUSTER, "admin": "yes"}}, "kaito:cluster.admin: 'yes' must be of type bool"),
    ({"cluster": {"kubeconfig": "/no/such/file"}}, "there is no file /no/such/file"),
    ({"cluster": {"kubeconfig": KUBECONFIG}}, "pools need an AKS cluster: give kaito:cluster as {resourceGroup, name}"),
    ({"network": {"fromNamespaces": ["apps"]}}, "kaito:network.fromNamespaces: has no effect without policy: true"),
    ({"network": {"policy": True, "fromNamespaces": ["A b"]}}, "'A b' is no name of a namespace"),
    ({"monitoring": {"serviceMonitor": 1}}, "kaito:monitoring.serviceMonitor: 1 must be of type bool"),
    ({"nodes": {"provider": "karpenter"}}, "kaito:nodes.provider: 'karpenter' must be one of aks, existing"),
    ({"nodes": {"minCount": True, "maxCount": 2}}, "kaito:nodes.minCount: True must be of type int"),
    ({"nodes": {"provider": "existing", "spot": True}}, "spot: has no effect on nodes that exist already"),
    ({"azure": "on"}, "kaito:azure: must be an object with the keys checks, subscription, region, currency"),
    ({"azure": {"checks": "yes"}}, "kaito:azure.checks: 'yes' must be of type bool"),
    ({"azure": {"checks": True, "currency": "BTC"}}, "kaito:azure.currency: 'BTC' must be one of USD, AUD"),
    ({"azure": {"currency": "EUR"}}, "kaito:azure.currency: has no effect without checks"),
    ({"azure": {"region": "westus"}}, "region is westus, but the cluster is in eastus; remove it"),
    (
        {
            "azure": {"checks": True},
            "cluster": {"kubeconfig": KUBECONFIG},
            "nodes": {"provider": "existing"},
            "workspaces": [ON_OWN_NODES],
        },
        "kaito:azure: has no effect with kaito:cluster.kubeconfig; remove it",
    ),
    ({"cluster": {**CLUSTER, "azure": {"checks": True}}}, "kaito:cluster.azure: is not a key"),
    ({"strict": "very"}, "kaito:strict: 'very' must be true or false"),
    ({"strict": True, "nodes": {"spot": True}}, "until another is found (a warning, and an error because of strict"),
    ({"workspaces": []}, "kaito:workspaces: is missing or empty: list your Workspace files"),
    ({"workspaces": WORKSPACE}, "must be a list of files"),
    ({"workspaces": [7]}, "kaito:workspaces[0]: 7 must be a path, or an object"),
    ({"workspaces": [{"file": WORKSPACE, "inline": {}}]}, "must be a path, or an object"),
    ({"workspaces": [{"file": WORKSPACE, "wait": {"til": 1}}]}, "kaito:workspaces[0].wait.til: is not a key"),
    ({"workspaces": [WORKSPACE, WORKSPACE]}, "workspace-phi-4-mini.yaml stands in another entry too"),
    ({"workspaces": ["/no/such/file.yaml"]}, "/no/such/file.yaml: cannot be read"),
]


@pytest.mark.parametrize(("values", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_mistake_is_said_and_nothing_is_registered(
    refusal: Refusal, mocked: Mocked, values: dict[str, Any], words: str
) -> None:
    whole = {"cluster": CLUSTER, "workspaces": [WORKSPACE], **values}
    assert words in refusal(**{key: value for key, value in whole.items() if value is not None})
    assert mocked.registered == []


def test_a_config_map_in_another_file_of_the_stack_is_looked_into(refusal: Refusal, tmp_path: Path) -> None:
    workspace = yaml.safe_load(Path(WORKSPACE).read_text())
    workspace["inference"]["config"] = "settings"
    settings = {"inference_config.yaml": "vllm: {max-model-len: plenty}"}
    files = {"w": workspace, "c": config_map("settings", settings)}
    said = refusal(cluster=CLUSTER, workspaces=write(tmp_path, files))
    assert "w.yaml" in said and "max-model-len is 'plenty'" in said


def test_what_is_to_be_said_of_objects_beside_workspaces_is_said(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda text, resource=None: said.append(text))
    exported = config_map("settings", {"a": "b"})
    exported["metadata"]["uid"] = "5d0c"
    load(cluster=CLUSTER, workspaces=[WORKSPACE, *write(tmp_path, {"c": exported})])
    assert any("c.yaml" in text and "metadata.uid" in text for text in said)


def test_a_network_policy_is_made_only_where_it_is_asked_for(load: Load) -> None:
    def made(**more: Any) -> set[str]:
        return {one.type for one in load(cluster=CLUSTER, workspaces=[WORKSPACE], **more)}

    policy = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
    assert policy in made(network={"policy": True, "fromNamespaces": ["apps"]}) and policy not in made()


def test_the_switches_of_monitoring_reach_the_cluster(load: Load) -> None:
    monitoring = {"dashboard": True, "serviceMonitor": True}
    made = [one.type for one in load(cluster=CLUSTER, workspaces=[WORKSPACE], monitoring=monitoring)]
    assert {"kubernetes:core/v1:ConfigMap", "kubernetes:monitoring.coreos.com/v1:ServiceMonitor"} <= set(made)


def test_mistakes_of_the_configuration_and_of_files_are_said_together(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kind: Workspace\napiVersion: kaito.sh/v1beta1\nmetadata: {name: x}\n")
    said = refusal(cluster={"resourceGroup": "g"}, workspaces=[str(tmp_path / "bad.yaml")])
    assert "needs both resourceGroup and name" in said and "bad.yaml" in said


def test_the_project_file_types_exactly_the_keys_that_are_read() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert set(declared) == set(KEYS) and all(key["description"] for key in declared.values())
