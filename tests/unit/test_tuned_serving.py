"""A tuning Workspace serves what it tuned: a server without a pod, and a Job that may give it one."""

from dataclasses import replace
from typing import Any

import pytest

from kaito_components.manifests import workload_objects
from kaito_components.plan import NodeOptions, Plan, WaitOptions
from kaito_components.spec.model import DataDestination
from serving_image import settings as serving
from tests.unit.workspaces import A100, CPU, EXISTING, codes, inference, planned, tuning
from tuning_image import arguments

VOLUME = {"persistentVolumeClaim": {"claimName": "out"}}
OFF = {"pulumi.kaito.sh/serve": "false"}


def objects(plan: Plan) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in workload_objects(plan)}


def server(plan: Plan) -> dict[str, Any]:
    spec: dict[str, Any] = objects(plan)["Deployment"]["spec"]["template"]["spec"]
    return spec


def test_the_server_waits_without_a_pod_and_the_job_names_it() -> None:
    made = planned(tuning(A100))
    assert objects(made)["Deployment"]["spec"]["replicas"] == 0
    job = objects(made)["Job"]["spec"]["template"]["spec"]["containers"][0]
    assert arguments.parse(job["command"][3:]).then_serve == "default/tune"


@pytest.mark.parametrize("most", [1, 2])
def test_the_next_job_goes_before_the_server_unless_the_pool_may_grow(most: int) -> None:
    plan = planned(tuning(A100), nodes=NodeOptions(min_count=1, max_count=most))
    made = {one["kind"]: one for one in workload_objects(plan, "first")}
    job, server = (made[kind]["spec"]["template"]["spec"].get("priorityClassName") for kind in ("Job", "Deployment"))
    assert (job, server) == ("first", "first" if most > 1 else None)


def test_only_the_server_of_a_tuning_workspace_is_marked_as_scaled_by_its_job() -> None:
    mark = "pulumi.kaito.sh/scaled-by"
    assert objects(planned(tuning(A100)))["Deployment"]["metadata"]["annotations"][mark] == "Job tune"
    assert mark not in objects(planned(inference(A100)))["Deployment"]["metadata"]["annotations"]


def test_the_job_may_scale_its_server_and_nothing_else() -> None:
    made = objects(planned(tuning(A100)))
    (rule,) = made["Role"]["rules"]
    assert (rule["resources"], rule["resourceNames"]) == (["deployments/scale"], ["tune"])
    account = made["Job"]["spec"]["template"]["spec"]["serviceAccountName"]
    assert made["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "default"}]
    assert made["ServiceAccount"]["metadata"]["name"] == account


def test_the_service_leads_to_the_server_and_not_to_the_job() -> None:
    made = objects(planned(tuning(A100)))
    selector = made["Service"]["spec"]["selector"].items()
    assert selector <= made["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= made["Job"]["spec"]["template"]["metadata"]["labels"].items()


def test_the_server_answers_with_the_adapter_that_the_job_pushed() -> None:
    pod = server(planned(tuning(A100)))
    read = serving.read(pod["containers"][0]["command"][3:], {})
    assert (read.default_model, str(read.adapter[0].folder)) == ("tune", "/mnt/adapter/tune")
    assert "registry.example.com/out:1" in pod["initContainers"][-1]["command"]


def test_an_adapter_on_a_volume_is_read_from_the_jobs_folder() -> None:
    pod = server(planned(tuning(A100, output=DataDestination(volume_source=VOLUME))))
    assert str(serving.read(pod["containers"][0]["command"][3:], {}).adapter[0].folder) == "/mnt/adapter/tune/adapter"
    assert {"name": "adapter-tune", **VOLUME} in pod["volumes"]


def test_serve_false_leaves_it_out() -> None:
    assert set(objects(planned(tuning(A100, annotations=OFF)))) == {"Service", "Job"}


def test_without_a_server_ready_is_when_the_job_is_complete() -> None:
    ready = WaitOptions("ready")
    assert planned(tuning(A100), wait=ready).wait == "ready"
    assert planned(tuning(A100, annotations=OFF), wait=ready).wait == "completed"


def test_what_can_be_tuned_and_not_served_there_is_tuned_and_said() -> None:
    made = planned(tuning("Standard_NC4as_T4_v3", "phi-4"))
    assert "tuned-not-served" in codes(made, "warning") and set(objects(made)) == {"Service", "Job"}


@pytest.mark.parametrize(("size", "nodes"), [(CPU, {}), (None, {"nodes": EXISTING})])
def test_it_serves_without_a_gpu_and_on_existing_nodes(size: str | None, nodes: dict[str, Any]) -> None:
    made = planned(tuning(size, "smollm2-135m-instruct", method="lora"), **nodes)
    assert made.serving and not codes(made, "error")


def test_a_workspace_called_as_its_model_serves_the_adapter_under_another_name() -> None:

    made = planned(replace(tuning(A100), name="phi-3-mini-128k-instruct"))
    assert made.serving and "--default-model phi-3-mini-128k-instruct-tuned" in " ".join(made.serving.command)
