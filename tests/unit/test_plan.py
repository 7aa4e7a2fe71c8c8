"""What the plan decides, and what it refuses."""

from typing import Any

import pytest

from kaito_components.errors import InvalidWorkspace
from kaito_components.manifests import agent_pool, workload_objects
from kaito_components.plan import NodeOptions, Plan, plan
from kaito_components.spec.model import (
    Adapter,
    Bundle,
    ConfigMap,
    DataDestination,
    DataSource,
    Inference,
    PresetRef,
    Resource,
    Tuning,
    Workspace,
)


def inference(
    size: str | None = "Standard_NC24ads_A100_v4", preset: str = "phi-4-mini-instruct", **more: Any
) -> Workspace:
    part = Inference(preset=PresetRef(preset), **{k: more.pop(k) for k in ("adapters", "config") if k in more})
    return Workspace("phi", Resource(size, {"apps": "phi"}, more.pop("count", 1)), inference=part, **more)


def tuning(size: str = "Standard_NC6s_v3", preset: str = "phi-3-mini-128k-instruct") -> Workspace:
    source = DataSource(urls=("https://example.com/train.parquet",))
    output = DataDestination(image="registry.example.com/out:1", image_push_secret="push")
    return Workspace("tune", Resource(size, {"app": "tune"}), tuning=Tuning(PresetRef(preset), "qlora", source, output))


def codes(planned: Plan, severity: str) -> set[str]:
    return {finding.code for finding in planned.findings if finding.severity == severity}


def test_the_quick_start_is_planned_with_a_warning_about_its_retired_size() -> None:
    planned = plan(tuning(), image_registry="r.example.com")
    assert codes(planned, "warning") == {"vm-size-retired"} and not codes(planned, "error")
    assert (planned.runtime, planned.dtype, planned.wait) == ("transformers", "float16", "started")
    assert planned.image == "r.example.com/kaito-tuning:0.1.0-cu126"


def test_a_new_gpu_serves_with_vllm_and_an_old_one_with_transformers() -> None:
    assert plan(inference("Standard_NC24ads_A100_v4")).runtime == "vllm"
    assert plan(inference("Standard_NC4as_T4_v3")).runtime == "transformers"
    assert plan(inference("Standard_D8s_v5", "smollm2-135m-instruct")).image == "kaito-serving:0.1.0-cpu"


def test_vllm_on_an_old_gpu_is_refused() -> None:
    spec = inference("Standard_NC4as_T4_v3", annotations={"kaito.sh/runtime": "vllm"})
    assert "runtime-needs-newer-gpu" in codes(plan(spec), "error")


@pytest.mark.parametrize(
    ("spec", "nodes", "code"),
    [
        (inference("Standard_NC24ads_A100_v5"), "aks", "vm-size-unknown"),
        (inference(None), "aks", "instance-type-missing"),
        (inference(), "existing", "instance-type-on-existing-nodes"),
        (inference(preset="phi-4-mini"), "aks", "unknown-preset"),
    ],
)
def test_what_cannot_be_planned_is_refused(spec: Workspace, nodes: Any, code: str) -> None:
    with pytest.raises(InvalidWorkspace) as refused:
        plan(spec, nodes=NodeOptions(provider=nodes))
    assert [finding.code for finding in refused.value.findings] == [code]


def test_a_context_too_long_for_the_gpu_is_refused_with_sizes_that_fit() -> None:
    text = "vllm:\n  max-model-len: 600000\n"
    bundle = Bundle(config_maps=(ConfigMap("c", "default", {"inference_config.yaml": text}),))
    planned = plan(inference("Standard_NC24ads_A100_v4", "phi-3-mini-128k-instruct", config="c"), bundle=bundle)
    assert "does-not-fit" in codes(planned, "error")


def test_adapter_strength_is_refused_for_vllm() -> None:
    adapter = Adapter(DataSource(name="a", image="r.example.com/a:1"), 0.5)
    assert "strength-with-vllm" in codes(plan(inference(adapters=(adapter,))), "error")


def test_another_vm_size_is_another_pool_and_the_same_size_the_same() -> None:
    a100, h100 = plan(inference("Standard_NC24ads_A100_v4")), plan(inference("Standard_NC40ads_H100_v5"))
    assert a100.pool and h100.pool
    assert a100.pool.name != h100.pool.name and len(a100.pool.name) == 12
    assert a100.pool.name == plan(inference(count=3)).pool.name  # type: ignore[union-attr]


def test_on_existing_nodes_no_pool_is_made_and_the_selector_chooses() -> None:
    planned = plan(inference(None), nodes=NodeOptions(provider="existing"))
    assert planned.pool is None and planned.node_selector == {"apps": "phi"}
    with pytest.raises(ValueError, match="exist already"):
        agent_pool(planned)


def test_pods_are_bound_to_their_pool() -> None:
    planned = plan(inference())
    pod = workload_objects(planned)[-1]["spec"]["template"]["spec"]
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    wanted = {term["key"]: term["values"] for term in terms[0]["matchExpressions"]}
    assert planned.pool and wanted["kubernetes.azure.com/agentpool"] == [planned.pool.name]


def test_another_configuration_beside_the_workspace_makes_new_pods() -> None:
    def template(text: str) -> Any:
        bundle = Bundle(config_maps=(ConfigMap("c", "default", {"inference_config.yaml": text}),))
        return workload_objects(plan(inference(config="c"), bundle=bundle))[-1]["spec"]["template"]["metadata"]

    assert template("vllm: {a: 1}") != template("vllm: {a: 2}")


def test_a_user_error_of_the_tuning_image_is_not_tried_again() -> None:
    job = workload_objects(plan(tuning()))[-1]
    rule = job["spec"]["podFailurePolicy"]["rules"][0]
    assert rule["action"] == "FailJob" and rule["onExitCodes"]["values"] == [42]


def test_every_planned_object_is_made() -> None:
    for spec in (inference(), tuning()):
        planned = plan(spec)
        made = {(o["kind"], o["metadata"]["name"]) for o in workload_objects(planned)}
        made.add(("AgentPool", agent_pool(planned)["agentPoolName"]))
        assert made == {(o.kind, o.name) for o in planned.resources}
