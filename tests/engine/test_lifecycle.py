"""From a file to running objects and back to nothing, on the real engine and a real API server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config, watch

from local_cloud.instance import Instance
from local_cloud.stack import Stack
from tests.engine.conftest import Azure
from tests.engine.workspaces import config_map, inference, secret, tuning

MakeStack = Callable[..., Stack]


def test_two_workspaces_come_up_stay_unchanged_and_leave_nothing(
    make_stack: MakeStack, azure: Azure, pods: Callable[[], list[Any]]
) -> None:
    stack = make_stack(inference(), tuning(), secret())
    stack.up()
    assert len(azure.pools) == 2 and len(pods()) == 2
    assert stack.preview("--expect-no-changes").ops == {}
    assert stack.refresh("--expect-no-changes").ops == {}
    done = stack.destroy()
    deleted = [name for op, name in done.order if op == "delete"]
    for name in ("phi", "tune"):
        workload = f"{name}-deployment" if name == "phi" else f"{name}-job"
        assert deleted.index(workload) < deleted.index(f"{name}-pool")
    assert azure.pools == set() and pods() == [] and stack.resources().total() == 0


def test_gpu_nodes_of_a_stack_run_its_device_plugin_until_destroy(make_stack: MakeStack, cloud: Instance) -> None:
    stack = make_stack(inference())
    stack.up()
    name = next(one["outputs"]["metadata"]["name"] for one in stack.export()["resources"] if "DaemonSet" in one["type"])
    with config.new_client_from_config(str(cloud.kubeconfig)) as connection:
        apps = client.AppsV1Api(connection)
        watched = watch.Watch().stream(
            apps.list_namespaced_daemon_set, "kube-system", field_selector=f"metadata.name={name}", timeout_seconds=60
        )
        assert any(event["object"].status.number_ready == 1 for event in watched)
        stack.destroy()
        assert name not in {one.metadata.name for one in apps.list_namespaced_daemon_set("kube-system").items}


def test_the_outputs_say_where_the_model_answers_and_a_secrets_value_is_in_no_state_no_preview_and_no_log(
    make_stack: MakeStack, namespace: str
) -> None:
    stack = make_stack(inference(), secret(value="hunter2-value"))
    screens = [stack.preview("--diff"), stack.up(), stack.refresh()]
    (outputs,) = stack.outputs().values()
    assert outputs["openai_base_url"] == f"http://phi.{namespace}.svc.cluster.local/v1"
    assert outputs["model_name"] == "phi-4-mini-instruct"
    assert outputs["status"]["workspaceReady"] is True
    assert {"kind": "AgentPool", "name": outputs["node_pool"]} in outputs["resources"]
    shown = "".join(result.text + str(result.events) for result in screens) + str(stack.export())
    assert "hunter2-value" not in shown and "client-key-data" not in shown


def test_all_problems_of_all_files_stop_the_preview(make_stack: MakeStack, azure: Azure) -> None:
    stack = make_stack(inference("a", "Standard_NC24ads_A100_v5"), inference("b", "Standard_Nothing"))
    refused = stack.preview(check=False)
    assert refused.code != 0 and "Traceback" not in refused.text
    assert "Standard_NC24ads_A100_v5" in refused.text and "Standard_Nothing" in refused.text


def test_an_unknown_key_of_the_configuration_is_named(make_stack: MakeStack) -> None:
    stack = make_stack(inference(), nodes={"provdier": "aks"})
    refused = stack.preview(check=False)
    assert refused.code != 0 and "kaito:nodes.provdier" in refused.text and "Traceback" not in refused.text


def change(stack: Stack, index: int, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edits the file of one entry of kaito:workspaces."""
    path = Path(stack.config["kaito:workspaces"][index])
    content = yaml.safe_load(path.read_text())
    edit(content)
    path.write_text(yaml.safe_dump(content))


def test_another_vm_size_makes_the_new_pool_first_and_moves_the_pods(
    make_stack: MakeStack, azure: Azure, pods: Callable[[], list[Any]]
) -> None:
    stack = make_stack(inference())
    stack.up()
    (old,) = azure.pools
    change(stack, 0, lambda one: one["resource"].update(instanceType="Standard_NC40ads_H100_v5"))
    done = stack.up()
    steps = [(op, name) for op, name in done.order if name in ("phi-pool", "phi-deployment", "phi-ready")]
    assert [step for step in steps if step[0] != "replace"] == [
        ("create-replacement", "phi-pool"),
        ("update", "phi-deployment"),
        ("update", "phi-ready"),
        ("delete-replaced", "phi-pool"),
    ]
    (new,) = azure.pools
    assert new != old and all(new in pod.spec.node_name for pod in pods() if not pod.metadata.deletion_timestamp)


def test_a_change_touches_what_it_must_and_nothing_else(make_stack: MakeStack, azure: Azure) -> None:
    stack = make_stack(inference(config="c"), config_map("c", "vllm: {max-num-seqs: 8}"), tuning())
    stack.up()
    before = azure.pools
    change(stack, 1, lambda one: one["data"].update({"inference_config.yaml": "vllm: {max-num-seqs: 9}"}))
    assert stack.up().ops == {"c-configmap": "update", "phi-deployment": "update", "phi-ready": "update"}
    change(stack, 0, lambda one: one["resource"]["labelSelector"]["matchLabels"].update(team="a"))
    assert stack.up().ops == {"phi-pool": "update", "phi-deployment": "update", "phi-ready": "update"}
    change(stack, 2, lambda one: one["tuning"]["input"].update(urls=["https://example.com/other.parquet"]))
    assert stack.up().ops == {"tune-job": "replace", "tune-ready": "update"}
    assert azure.pools == before
    more_patient = {"file": stack.config["kaito:workspaces"][0], "wait": {"timeoutSeconds": 5000}}
    stack.config["kaito:workspaces"][0] = more_patient
    assert "phi-pool" not in stack.preview().ops
