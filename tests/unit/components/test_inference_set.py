"""What an InferenceSet registers with the engine."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from kaito_components import InferenceSet, workspaces_from_files
from tests.unit.components.mocked_engine import Mocked

AKS: Any = {"resource_group": "g", "name": "c"}
EXAMPLE = Path(__file__).parents[3] / "examples/replicas/inference-set-phi-4-mini.yaml"


def three(**args: Any) -> InferenceSet:
    resource = {"instance_type": "Standard_NC24ads_A100_v4", "label_selector": {"match_labels": {"apps": "phi"}}}
    inference: Any = {"preset": {"name": "phi-4-mini-instruct"}}
    given: Any = {"cluster": AKS, "replicas": 3, "resource": resource, "inference": inference, **args}
    return InferenceSet("phi", given)


def test_replicas_are_workspaces_of_the_set_with_a_pool_each(mocked: Mocked) -> None:
    mocked.run(three)
    workspaces = mocked.of("kaito:index:Workspace")
    assert {one.name for one in workspaces} == {"phi-0", "phi-1", "phi-2"}
    assert {one.parent for one in workspaces} == {mocked.one("InferenceSet").urn}
    assert len({pool.inputs["agentPoolName"] for pool in mocked.of("AgentPool")}) == 3


def test_one_service_leads_to_the_pods_of_all_replicas(mocked: Mocked) -> None:
    mocked.run(three)
    (service,) = [one for one in mocked.of("Service") if one.name == "phi-service"]
    selector = service.inputs["spec"]["selector"]
    for workload in mocked.of("Deployment"):
        assert selector.items() <= workload.inputs["spec"]["template"]["metadata"]["labels"].items()
        assert "--served-model-name=phi" in workload.inputs["spec"]["template"]["spec"]["containers"][0]["command"]


def test_a_replica_changes_when_the_one_before_is_ready(mocked: Mocked) -> None:
    mocked.run(three)
    waits = {one.name: one.urn for one in mocked.of("WorkspaceReady")}
    workloads = {one.name: one.depends_on for one in mocked.of("Deployment")}
    for before, after in pairwise(("phi-0", "phi-1", "phi-2")):
        assert waits[f"{before}-ready"] in workloads[f"{after}-deployment"]


def test_the_sets_service_is_public_and_not_those_of_its_replicas(mocked: Mocked) -> None:
    mocked.run(lambda: three(annotations={"kaito.sh/enablelb": "True"}))
    kinds = {one.name: one.inputs["spec"]["type"] for one in mocked.of("Service")}
    assert kinds == {"phi-service": "LoadBalancer", **{f"phi-{n}-service": "ClusterIP" for n in range(3)}}


def test_a_set_from_a_file_has_its_endpoint_as_output(mocked: Mocked) -> None:
    seen: list[Any] = []

    def program() -> Any:
        (made,) = workspaces_from_files([EXAMPLE], AKS)
        return pulumi.Output.all(made.endpoint, made.model_name).apply(seen.extend)

    mocked.run(program)
    assert seen == ["http://phi-4-mini.default.svc.cluster.local", "phi-4-mini"]
    assert {one.name for one in mocked.of("kaito:index:Workspace")} == {"phi-4-mini-0", "phi-4-mini-1"}


def test_a_set_of_none_has_no_nodes_and_no_service(mocked: Mocked) -> None:
    mocked.run(lambda: three(replicas=0))
    assert not mocked.of("AgentPool") and not mocked.of("Service") and mocked.one("InferenceSet")


@pytest.mark.parametrize(("args", "words"), [({"replicas": -1}, "replicas: -1"), ({"tuning": {"a": 1}}, "serves")])
def test_a_wrong_arg_of_a_set_is_named(mocked: Mocked, args: dict[str, Any], words: str) -> None:
    with pytest.raises(pulumi.RunError, match=words):
        mocked.run(lambda: three(**args))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """The example with another template."""

    def write(**template: Any) -> Path:
        document = yaml.safe_load(EXAMPLE.read_text())
        document["spec"]["template"] |= template
        (tmp_path / "set.yaml").write_text(yaml.safe_dump(document))
        return tmp_path / "set.yaml"

    return write


def test_what_the_plan_refuses_is_said_once_with_the_field_of_the_set(
    mocked: Mocked, written: Callable[..., Path]
) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        mocked.run(lambda: workspaces_from_files([written(resource={"instanceType": "Standard_NC24"})], AKS) and None)
    assert str(refused.value).count("spec.template.resource.instanceType: Standard_NC24") == 1
