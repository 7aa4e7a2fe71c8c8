"""Who may reach the pods of a Workspace, and where they may go, for each shape of Workspace."""

from dataclasses import replace
from typing import Any

import pytest

from kaito_components.manifests import workload_objects
from kaito_components.manifests.network import is_guarded, network_policy, outside
from kaito_components.spec.model import Adapter, DataDestination, DataSource, Workspace
from tests.unit.workspaces import A10, A100, CPU, config, inference, planned, template, tuning

PORT = "r.example.com:5000"
CLAIM = {"persistentVolumeClaim": {"claimName": "c"}}
VOLUMES = {"input": DataSource(volume_source=CLAIM), "output": DataDestination(volume_source=CLAIM)}
PUSHED = DataDestination(image=f"{PORT}/out:1", image_push_secret="p")
OFF = {"pulumi.kaito.sh/serve": "false"}
DATA = ("http://data.example.com/a.csv", "https://data.example.com:8443/b.csv")


def rules(spec: Workspace, *namespaces: str) -> Any:
    return network_policy(planned(spec), namespaces)["spec"]


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        (inference(CPU), [443]),
        (inference(CPU, adapters=(Adapter(DataSource("a", image=f"{PORT}/a:1")),)), [443, 5000]),
        (inference(CPU, annotations={"pulumi.kaito.sh/weights": f"image:{PORT}/w:1"}), [443, 5000]),
        (tuning(A100, annotations=OFF), [443]),
        (tuning(A100, **VOLUMES, annotations=OFF), [443]),
        (tuning(A100, input=DataSource(urls=DATA), annotations=OFF), [80, 443, 8443]),
        (tuning(A100, output=PUSHED, annotations=OFF), [443, 5000]),
        (tuning(A100, output=PUSHED), [443, 5000, 6443]),
    ],
)
def test_pods_may_go_to_the_ports_that_their_workspace_needs(spec: Workspace, ports: list[int]) -> None:
    dns, rest = rules(spec)["egress"]
    assert outside(planned(spec)) == ports == [one["port"] for one in rest["ports"]]
    assert {(one["protocol"], one["port"]) for one in dns["ports"]} == {("UDP", 53), ("TCP", 53)}


def test_the_server_may_be_asked_from_its_own_namespace_and_those_that_are_named() -> None:
    (alone,), (rule,) = rules(inference())["ingress"], rules(inference(), "apps", "web")["ingress"]
    assert alone == {"ports": [{"protocol": "TCP", "port": 5000}], "from": [{"podSelector": {}}]}
    chosen = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["apps", "web"]}
    assert rule["from"] == [{"podSelector": {}}, {"namespaceSelector": {"matchExpressions": [chosen]}}]


def test_a_public_server_may_be_asked_from_anywhere() -> None:
    (rule,) = rules(inference(annotations={"kaito.sh/enablelb": "true"}))["ingress"]
    assert "from" not in rule and rule["ports"]


def test_pods_of_one_model_on_several_nodes_reach_each_other() -> None:
    wide = config("vllm: {max-model-len: 32768}")
    made = network_policy(planned(inference(A10, "phi-3-mini-128k-instruct", config="c"), bundle=wide), ())["spec"]
    own = {"podSelector": made["podSelector"]}
    assert made["ingress"][1] == {"from": [own]} and made["egress"][2] == {"to": [own]}


@pytest.mark.parametrize("spec", [inference(), inference(CPU), tuning(A100)])
def test_the_policy_holds_for_every_pod_of_its_workspace_and_for_no_other(spec: Workspace) -> None:
    chosen = rules(spec)["podSelector"]["matchLabels"].items()
    for one in (one for one in workload_objects(planned(spec)) if "template" in one.get("spec", {})):
        assert chosen <= one["spec"]["template"]["metadata"]["labels"].items()
    other = workload_objects(planned(replace(spec, name="other")))[-1]
    assert not chosen <= other["spec"]["template"]["metadata"]["labels"].items()


def test_pods_of_the_users_own_are_left_alone() -> None:
    assert is_guarded(planned(inference())) and is_guarded(planned(tuning())) and not is_guarded(planned(template()))
