"""What a Workspace registers with the engine: types, names, parents, order, secrets."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from kaito_components import Cluster, Workspace, workspaces_from_files
from tests.unit.components.mocked_engine import CLUSTER_ID, KUBECONFIG, Mocked

AKS: Any = {"resource_group": "g", "name": "c"}
INFERENCE: Any = {
    "resource": {"instance_type": "Standard_NC24ads_A100_v4", "label_selector": {"match_labels": {"apps": "phi"}}},
    "inference": {"preset": {"name": "phi-4-mini-instruct"}},
}
ON_CPU: Any = {"instance_type": "Standard_D8s_v5", "label_selector": {"match_labels": {"apps": "phi"}}}
ON_OWN_NODES: Any = {
    **INFERENCE,
    "resource": {"label_selector": {"match_labels": {"apps": "phi"}}},
    "nodes": {"provider": "existing"},
}


def inference(name: str = "phi", **args: Any) -> Workspace:
    return Workspace(name, {"cluster": AKS, **INFERENCE, **args})


def test_a_workspace_is_nodes_service_workload_and_the_wait(mocked: Mocked) -> None:
    types = [one.type for one in mocked.run(inference)]
    assert sorted(types) == [
        "azure-native:containerservice:AgentPool",
        "kaito:index:Workspace",
        "kubernetes:apps/v1:DaemonSet",
        "kubernetes:apps/v1:Deployment",
        "kubernetes:core/v1:Service",
        "pulumi-python:dynamic/kaito:WorkspaceReady",
        "pulumi:providers:kubernetes",
    ]


def test_every_child_has_the_workspace_as_parent_and_no_option_of_it(mocked: Mocked) -> None:
    mocked.run(lambda: Workspace("phi", {"cluster": AKS, **INFERENCE}, pulumi.ResourceOptions(protect=True)))
    workspace = mocked.one("Workspace")
    of_cluster = [mocked.one("providers:kubernetes"), mocked.one("DaemonSet")]
    children = [one for one in mocked.registered if one not in (workspace, *of_cluster)]
    assert len(children) == 4 and {one.parent for one in children} == {workspace.urn}
    assert not any(one.request.aliases for one in children)


def test_the_workload_follows_the_pool_and_the_wait_follows_everything(mocked: Mocked) -> None:
    mocked.run(inference)
    pool, service, workload, ready = (mocked.one(t) for t in ("AgentPool", "Service", "Deployment", "WorkspaceReady"))
    assert pool.urn in workload.depends_on and pool.urn not in service.depends_on
    assert {pool.urn, service.urn, workload.urn} <= set(ready.depends_on)


def test_kubernetes_objects_have_the_clusters_own_provider(mocked: Mocked) -> None:
    mocked.run(inference)
    provider = mocked.one("providers:kubernetes")
    assert provider.name == "g-c" and provider.inputs["clusterIdentifier"] == "aks/g/c"
    assert all(mocked.one(kind).provider.startswith(provider.urn) for kind in ("Service", "Deployment"))


def test_the_kubeconfig_is_a_secret_wherever_it_goes(mocked: Mocked) -> None:
    mocked.run(inference)
    for holder in (mocked.one("providers:kubernetes"), mocked.one("WorkspaceReady")):
        value = holder.inputs["kubeconfig"]
        assert pulumi.runtime.rpc.is_rpc_secret(value) and pulumi.runtime.rpc.unwrap_rpc_secret(value) == KUBECONFIG


def test_outputs_say_where_the_model_answers(mocked: Mocked) -> None:
    def program() -> pulumi.Output[Any]:
        one = inference(namespace="ml")
        return pulumi.Output.all(one.endpoint, one.openai_base_url, one.model_name, one.resources).apply(seen.extend)

    seen: list[Any] = []
    mocked.run(program)
    url = "http://phi.ml.svc.cluster.local"
    assert seen[:3] == [url, f"{url}/v1", "phi-4-mini-instruct"]
    assert {"kind": "Deployment", "name": "phi"} in seen[3]


def test_workspaces_that_name_the_same_cluster_share_it_and_queue_their_pools(mocked: Mocked) -> None:
    mocked.run(lambda: [inference(name) for name in ("a", "b", "c")])
    pools = mocked.of("AgentPool")
    assert len(mocked.of("providers:kubernetes")) == 1 and mocked.cloud.calls.count("getManagedCluster") == 1
    for before, after in pairwise(pools):
        assert before.urn in after.depends_on


def test_gpu_pools_of_a_stack_share_one_device_plugin_that_runs_on_them_alone(mocked: Mocked) -> None:
    mocked.run(lambda: [inference("a"), inference("b")])
    plugin = mocked.one("DaemonSet").inputs["spec"]["template"]["spec"]
    for pool in mocked.of("AgentPool"):
        assert plugin["nodeSelector"].items() <= pool.inputs["nodeLabels"].items()


@pytest.mark.parametrize("args", [{"resource": ON_CPU}, {"cluster": AKS | {"device_plugin": False}}])
def test_no_device_plugin_without_gpus_or_where_the_cluster_has_one(mocked: Mocked, args: dict[str, Any]) -> None:
    mocked.run(lambda: inference(**args, image_registry="r.azurecr.io"))
    labels = mocked.one("AgentPool").inputs["nodeLabels"]
    assert not mocked.of("DaemonSet") and "pulumi.kaito.sh/device-plugin" not in labels


def test_workspaces_of_two_clusters_have_two_providers(mocked: Mocked) -> None:
    mocked.run(lambda: [inference("a"), inference("b", cluster={"resource_group": "g", "name": "d"})])
    assert {one.name for one in mocked.of("providers:kubernetes")} == {"g-c", "g-d"}
    assert len({one.urn for one in mocked.registered}) == len(mocked.registered)


def test_workspaces_of_one_name_in_two_namespaces_do_not_meet(mocked: Mocked) -> None:
    mocked.run(lambda: [inference("a", workspace_name="phi"), inference("b", workspace_name="phi", namespace="ml")])
    assert len({one.urn for one in mocked.registered}) == len(mocked.registered)
    assert {one.name for one in mocked.of("AgentPool")} == {"phi-pool", "ml/phi-pool"}


def test_a_pool_of_this_stack_that_azure_has_already_is_imported(mocked: Mocked) -> None:
    mocked.run(inference)
    pool = mocked.one("AgentPool").inputs
    assert not mocked.one("AgentPool").import_id
    mocked.cloud.pools = [{"name": pool["agentPoolName"], "tags": pool["tags"]}]
    mocked.run(inference)
    assert mocked.one("AgentPool").import_id == f"{CLUSTER_ID}/agentPools/{pool['agentPoolName']}"


@pytest.mark.parametrize("tags", [None, {}, {"kaito-pulumi-stack": "organization/kaito/production"}])
def test_a_pool_of_another_stack_is_left_alone(mocked: Mocked, tags: dict[str, str] | None) -> None:
    mocked.run(inference)
    name = mocked.one("AgentPool").inputs["agentPoolName"]
    mocked.cloud.pools = [{"name": name, "tags": tags}]
    mocked.run(inference)
    assert not mocked.one("AgentPool").import_id


def test_existing_nodes_are_checked_and_nothing_is_bought(mocked: Mocked) -> None:
    mocked.run(lambda: Workspace("phi", {"cluster": {"kubeconfig": KUBECONFIG}, **ON_OWN_NODES}))
    assert mocked.of("AgentPool") == [] and mocked.cloud.calls == []
    nodes = mocked.one("ExistingNodes")
    assert nodes.inputs["node_selector"] == {"apps": "phi"} and nodes.urn in mocked.one("Deployment").depends_on


def test_the_cluster_may_be_made_by_the_same_program(mocked: Mocked) -> None:
    def program() -> None:
        made = pulumi.CustomResource("azure-native:containerservice:ManagedCluster", "aks", {"resourceName": "mine"})
        cluster = Cluster({"resource_group": "g", "name": made.urn.apply(lambda urn: "mine")})
        inference(cluster=cluster)

    mocked.run(program)
    assert mocked.one("providers:kubernetes").name == "cluster" and "getManagedCluster" not in mocked.cloud.calls
    assert mocked.one("AgentPool").inputs["resourceName"] == "mine"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "blue"}, "colour: is not a key"),
    ({"nodes": {"spto": True}}, "nodes.spto: is not a key; keys are provider, spot,"),
    ({"wait": {"until": "rdy"}}, "wait.until: 'rdy' must be one of ready"),
    ({"wait": {"timeout_seconds": 0}}, "wait.timeout_seconds: 0 must be 1 or more"),
    ({"nodes": {"min_count": 1}}, "min_count and max_count go together"),
    ({"nodes": {"gpus_per_node": 2}}, "nodes.gpus_per_node: has no effect on new pools"),
    ({"cluster": None}, "cluster: is missing"),
    ({"cluster": {"resource_group": "g"}}, "needs both resource_group and name"),
    ({"cluster": {"kubeconfig": KUBECONFIG}}, "pools need an AKS cluster"),
    ({"cluster": {"resource_group": "g", "name": "missing"}}, "AKS cluster g/missing"),
    ({"cluster": {**AKS, "context": "x"}}, "context: has no effect with resource_group"),
    ({"inference": {"preset": {"name": "phi-5"}}}, "phi-5"),
]


@pytest.mark.parametrize(("args", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_used_is_a_sentence_and_nothing_is_registered(
    mocked: Mocked, args: dict[str, Any], words: str
) -> None:
    def program() -> None:
        with pytest.raises(pulumi.RunError) as refused:
            inference(**args)
        assert words in str(refused.value)

    assert mocked.run(program) == []


def test_all_problems_of_the_args_are_said_at_once(mocked: Mocked) -> None:
    def program() -> None:
        with pytest.raises(pulumi.RunError) as refused:
            inference(colour="blue", nodes={"spot": 1}, inference={"preset": {"name": "phi-4-mini-instruct"}, "x": 1})
        assert all(word in str(refused.value) for word in ("colour", "nodes.spot", "inference.x"))

    mocked.run(program)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_all(*objects: dict[str, Any]) -> Path:
        path = tmp_path / "objects.yaml"
        path.write_text(yaml.safe_dump_all(objects))
        return path

    return write_all


def on_file(name: str = "phi", namespace: str = "default") -> dict[str, Any]:
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": namespace},
        "resource": {"instanceType": "Standard_NC24ads_A100_v4", "labelSelector": {"matchLabels": {"apps": name}}},
        "inference": {"preset": {"name": "phi-4-mini-instruct"}, "config": "settings"},
    }


def test_what_stands_beside_a_workspace_is_made_before_its_workload(mocked: Mocked, write: Callable[..., Path]) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    path = write(on_file(), {**settings, "data": {"inference_config.yaml": "vllm: {max-num-seqs: 8}"}})
    mocked.run(lambda: workspaces_from_files([path], AKS))
    assert mocked.one("ConfigMap").urn in mocked.one("Deployment").depends_on
    assert mocked.one("ConfigMap").name == "settings-configmap"


def test_a_secrets_values_reach_the_engine_only_as_secrets(mocked: Mocked, write: Callable[..., Path]) -> None:
    token = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"HF_TOKEN": "hunter2"}}
    workspace = on_file()
    workspace["inference"].pop("config")
    mocked.run(lambda: workspaces_from_files([write(workspace, token)], AKS))
    assert pulumi.runtime.rpc.is_rpc_secret(mocked.one("Secret").inputs["stringData"])
    others = [one for one in mocked.registered if not one.type.endswith("Secret")]
    assert "hunter2" not in str([one.request for one in others])


def test_problems_of_all_files_stop_everything(mocked: Mocked, write: Callable[..., Path]) -> None:
    bad = [on_file("a"), on_file("b")]
    bad[0]["resource"]["instanceType"], bad[1]["inference"]["preset"]["name"] = "Standard_Nothing", "phi-5"

    def program() -> None:
        with pytest.raises(pulumi.RunError, match=r"(?s)Standard_Nothing.*phi-5"):
            workspaces_from_files([write(*bad)], AKS)

    assert mocked.run(program) == []


RETIRED: Any = {**INFERENCE["resource"], "instance_type": "Standard_NC6s_v3"}


def test_a_strict_workspace_refuses_a_warning_that_it_does_not_accept(mocked: Mocked) -> None:
    given: Any = {"resource": RETIRED, "image_registry": "r", "strict": True}
    with pytest.raises(pulumi.RunError, match="because of strict"):
        mocked.run(lambda: inference(**given) and None)
    accepting = {"pulumi.kaito.sh/accept": "vm-size-retired: the region still sells it"}
    mocked.run(lambda: inference(**given, annotations=accepting) and None)
    assert mocked.one("kaito:index:Workspace").name == "phi"


def test_an_unknown_code_in_an_acceptance_names_the_arg(mocked: Mocked) -> None:
    with pytest.raises(pulumi.RunError, match=r"args.annotations.pulumi.kaito.sh/accept: 'x' is no finding's code"):
        mocked.run(lambda: inference(annotations={"pulumi.kaito.sh/accept": "x: z"}) and None)
