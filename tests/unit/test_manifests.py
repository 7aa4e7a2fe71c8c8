"""What the Kubernetes objects and the agent pool hold."""

import re
from dataclasses import replace
from typing import Any

import pytest

from kaito_components.manifests import agent_pool, workload_objects
from kaito_components.plan import NodeOptions, Plan, WaitOptions, plan
from kaito_components.spec.model import Adapter, DataDestination, DataSource, Workspace
from tests.unit.workspaces import A10, CPU, EXISTING, config, inference, planned, template, tuning

WIDE = config("vllm: {max-model-len: 32768}")


def several_nodes() -> Plan:
    return planned(inference(A10, "phi-3-mini-128k-instruct", config="c"), bundle=WIDE)


def workload(made: Plan) -> Any:
    return workload_objects(made)[-1]


def pod(made: Plan) -> Any:
    return workload(made)["spec"]["template"]["spec"]


def container(made: Plan) -> Any:
    return pod(made)["containers"][0]


def login(made: Plan, one: dict[str, Any]) -> str:
    """The Secret whose login a container finds in /mnt/login."""
    (volume,) = [volume for volume in pod(made)["volumes"] if volume["name"] == mounts(one)["/mnt/login"]]
    return str(volume["secret"]["secretName"])


def mounts(one: Any) -> dict[str, str]:
    return {mount["mountPath"]: mount["name"] for mount in one["volumeMounts"]}


SHAPES = [inference(), inference(CPU, "smollm2-135m-instruct"), tuning(), template(), template(count=2)]


@pytest.mark.parametrize("spec", SHAPES)
def test_every_planned_object_is_made(spec: Workspace) -> None:
    made = planned(spec)
    objects = {(one["kind"], one["metadata"]["name"]) for one in workload_objects(made)}
    objects.add(("AgentPool", agent_pool(made)["agentPoolName"]))
    assert objects == {(one.kind, one.name) for one in made.resources}


@pytest.mark.parametrize("spec", SHAPES)
def test_every_object_carries_kaitos_label_and_leaves_waiting_to_us(spec: Workspace) -> None:
    for one in workload_objects(planned(spec)):
        head = one["metadata"]
        assert head["labels"]["kaito.sh/workspace"] == spec.name and head["namespace"] == "default"
        assert head["annotations"]["pulumi.com/skipAwait"] == "true"


@pytest.mark.parametrize("spec", SHAPES)
def test_services_select_the_pods(spec: Workspace) -> None:
    made = workload_objects(planned(spec))
    work = next(one for one in made if one["kind"] in ("Deployment", "StatefulSet"))
    labels = work["spec"]["template"]["metadata"]["labels"] | {"apps.kubernetes.io/pod-index": "0"}
    for service in (one for one in made if one["kind"] == "Service"):
        assert service["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize("spec", SHAPES)
def test_every_mount_has_its_volume(spec: Workspace) -> None:
    inside = pod(planned(spec))
    volumes = {volume["name"] for volume in inside.get("volumes", ())}
    for one in [*inside["containers"], *inside.get("initContainers", ())]:
        assert {mount["name"] for mount in one.get("volumeMounts", ())} <= volumes


def test_the_service_shows_the_quick_starts_ports() -> None:
    service = workload_objects(planned(inference()))[0]
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(80, 5000), (29500, 29500)]
    assert service["spec"]["type"] == "ClusterIP"


@pytest.mark.parametrize("written", ["True", "true"])
def test_a_load_balancer_is_made_when_asked_for(written: str) -> None:
    made = planned(inference(annotations={"kaito.sh/enablelb": written}))
    assert workload_objects(made)[0]["spec"]["type"] == "LoadBalancer"


def test_pods_are_bound_to_their_pool() -> None:
    made = planned(inference())
    terms = pod(made)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    wanted = {term["key"]: term["values"] for term in terms[0]["matchExpressions"]}
    assert made.pool and wanted["kubernetes.azure.com/agentpool"] == [made.pool.name]
    assert wanted["apps"] == ["phi"]


def test_pods_tolerate_the_taints_of_their_pool() -> None:
    made = planned(inference())
    tolerated = {f"{one['key']}={one.get('value', '')}:{one['effect']}" for one in pod(made)["tolerations"]}
    assert set(agent_pool(made)["nodeTaints"]) <= tolerated


def test_a_pod_takes_all_gpus_of_its_node() -> None:
    asked = container(planned(inference("Standard_NC96ads_A100_v4")))["resources"]
    assert asked["requests"]["nvidia.com/gpu"] == asked["limits"]["nvidia.com/gpu"] == "4"


def test_without_gpus_memory_for_the_weights_is_asked_for() -> None:
    assert container(planned(inference(CPU, "smollm2-135m-instruct")))["resources"] == {
        "requests": {"cpu": "1", "memory": "2Gi"}
    }


def environment(made: Plan) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(made)["env"] if "value" in one}


def test_a_model_whose_kernels_are_compiled_finds_the_compiler_on_its_node() -> None:
    made = planned(inference("Standard_ND96isr_H200_v5", "deepseek-v3.2"))
    fetch, home = pod(made)["initContainers"][0], "/opt/kaito/cuda/129"
    assert fetch["command"] == ["flock", home, "/workspace/cuda-provision.sh", home] and mounts(fetch)[home]
    assert mounts(container(made))[home] == mounts(fetch)[home]
    assert environment(made)["CUDA_HOME"] == home and environment(made)["VLLM_USE_DEEP_GEMM"] == "1"


def test_other_models_are_served_without_deep_gemm_and_without_a_compiler() -> None:
    made = planned(inference())
    assert environment(made)["VLLM_USE_DEEP_GEMM"] == "0" and "CUDA_HOME" not in environment(made)
    assert "initContainers" not in pod(made)


def test_the_startup_probe_waits_as_long_as_kaitos() -> None:
    one = container(planned(inference()))
    assert one["startupProbe"]["periodSeconds"] * one["startupProbe"]["failureThreshold"] == 1800
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert one[probe]["httpGet"] == {"path": "/health", "port": 5000}


def test_another_deadline_of_the_wait_changes_no_object() -> None:
    asked = plan(inference(), wait=WaitOptions("none", 60))
    assert workload_objects(asked) == workload_objects(plan(inference()))


def test_another_configuration_beside_the_workspace_makes_new_pods() -> None:
    def described(text: str) -> Any:
        made = plan(inference(config="c"), bundle=config(text))
        return workload(made)["spec"]["template"]["metadata"]

    assert described("vllm: {a: 1}") != described("vllm: {a: 2}")
    assert mounts(container(plan(inference(config="c"), bundle=config("vllm: {}"))))["/mnt/config"] == "config-volume"


def test_an_update_on_the_same_node_cannot_wait_for_ever() -> None:
    """The new pod fits only when the old one is gone: the old one must be allowed to go first."""
    assert workload(planned(inference()))["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 1}


@pytest.mark.parametrize(
    ("spec", "nodes"),
    [(inference(CPU, "smollm2-135m-instruct"), NodeOptions()), (inference(), NodeOptions(min_count=1, max_count=2))],
)
def test_an_update_has_no_gap_where_a_second_pod_finds_a_place(spec: Workspace, nodes: NodeOptions) -> None:
    made = workload(plan(spec, nodes=nodes))
    assert made["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_several_nodes_are_a_stateful_set_behind_a_headless_service() -> None:
    front, headless, work = workload_objects(several_nodes())
    assert work["kind"] == "StatefulSet" and work["spec"]["replicas"] == 2
    assert work["spec"]["serviceName"] == headless["metadata"]["name"] == "phi-headless"
    assert work["spec"]["podManagementPolicy"] == "Parallel" and headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert front["spec"]["selector"]["apps.kubernetes.io/pod-index"] == "0"


def test_pods_of_several_nodes_know_which_they_are() -> None:
    one = container(several_nodes())
    assert "POD_INDEX" in {variable["name"] for variable in one["env"]}
    assert "readiness" in one["readinessProbe"]["exec"]["command"]


@pytest.mark.parametrize(
    ("source", "volume"),
    [
        ("pvc:models/phi", {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}),
        ("hostPath:/models", {"hostPath": {"path": "/models", "type": "Directory"}}),
        ("huggingface", {"emptyDir": {}}),
    ],
)
def test_weights_are_mounted_from_where_they_are(source: str, volume: Any) -> None:
    made = planned(inference(annotations={"pulumi.kaito.sh/weights": source}))
    assert {"name": "model-weights-volume", **volume} in pod(made)["volumes"]
    mount = next(one for one in container(made)["volumeMounts"] if one["mountPath"] == "/workspace/weights")
    assert mount.get("readOnly", False) == (source != "huggingface") and mount.get("subPath") == (
        "phi" if "models/phi" in source else None
    )


def test_downloads_go_to_the_weights_volume_with_the_users_token() -> None:
    env = container(planned(inference(preset_options={"model_access_secret": "hf"})))["env"]
    assert {"name": "HF_HOME", "value": "/workspace/weights"} in env
    assert {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "HF_TOKEN"}}} in env


def test_weights_from_an_image_are_fetched_with_the_users_login() -> None:
    made = planned(inference(preset_options={"image": "r.example.com/w:1", "image_pull_secrets": ("login",)}))
    (fetch,) = pod(made)["initContainers"]
    assert fetch["command"] == ["oras", "pull", "r.example.com/w:1", "-o", "/workspace/weights"]
    assert {"name": "DOCKER_CONFIG", "value": "/mnt/login"} in fetch["env"]
    assert mounts(fetch)["/workspace/weights"] == "model-weights-volume" and login(made, fetch) == "login"


def test_adapters_come_from_images_and_volumes() -> None:
    image = Adapter(DataSource(name="a", image="r.example.com/a:1", image_pull_secrets=("s",)))
    volume = Adapter(DataSource(name="b", volume_source={"persistentVolumeClaim": {"claimName": "b"}}))
    made = planned(inference(adapters=(image, volume)))
    (puller,) = pod(made)["initContainers"]
    assert puller["command"][-2:] == ["r.example.com/a:1", "/mnt/adapter/a"]
    assert {"name": "adapter-b", "persistentVolumeClaim": {"claimName": "b"}} in pod(made)["volumes"]
    assert {"/mnt/adapter/a": "adapter-a", "/mnt/adapter/b": "adapter-b"}.items() <= mounts(container(made)).items()


def test_two_adapters_with_one_login_mount_it_once() -> None:
    adapters = tuple(Adapter(DataSource(name=n, image="i", image_pull_secrets=("s",))) for n in ("a", "b"))
    made = planned(inference(adapters=adapters))
    names = [volume["name"] for volume in pod(made)["volumes"]]
    assert len(names) == len(set(names)) and {login(made, one) for one in pod(made)["initContainers"]} == {"s"}


def test_a_login_may_have_any_name_that_a_secret_may_have() -> None:
    secret = f"{'registry.example.com.' * 5}login"
    made = planned(inference(preset_options={"image": "r.example.com/w:1", "image_pull_secrets": (secret,)}))
    assert login(made, pod(made)["initContainers"][0]) == secret
    assert all(re.fullmatch("[a-z0-9-]{1,63}", volume["name"]) for volume in pod(made)["volumes"])


def test_a_template_stays_the_users_but_for_its_place() -> None:
    spec = template()
    made = workload(planned(spec))["spec"]["template"]
    assert spec.inference and spec.inference.template
    assert made["spec"]["containers"] == spec.inference.template["spec"]["containers"]
    assert made["metadata"]["labels"].items() >= {"own": "1", "kaito.sh/workspace": "own"}.items()
    assert made["spec"]["tolerations"] and made["spec"]["affinity"]["nodeAffinity"]
    assert "labels" in spec.inference.template["metadata"] and "affinity" not in spec.inference.template["spec"]


def test_a_template_on_several_nodes_is_a_stateful_set() -> None:
    made = workload(planned(template(count=2)))
    assert (made["kind"], made["spec"]["replicas"]) == ("StatefulSet", 2)


def test_a_user_error_of_the_tuning_image_is_not_tried_again_and_an_eviction_costs_no_try() -> None:
    made = workload(planned(tuning()))["spec"]
    stop, ignore = made["podFailurePolicy"]["rules"]
    assert stop["action"] == "FailJob" and stop["onExitCodes"]["values"] == [42]
    assert stop["onExitCodes"]["containerName"] == made["template"]["spec"]["containers"][0]["name"]
    assert (ignore["action"], ignore["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert made["template"]["spec"]["restartPolicy"] == "Never"  # podFailurePolicy asks for it


def test_the_tuned_adapter_is_pushed_with_the_users_login() -> None:
    made = planned(tuning())
    one = container(made)
    assert login(made, one) == "push"
    assert {"name": "DOCKER_CONFIG", "value": "/mnt/login"} in one["env"]
    assert pod(made)["imagePullSecrets"] == [{"name": "push"}]


def test_tuning_reads_and_writes_volumes() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "d"}}
    made = planned(tuning(input=DataSource(volume_source=claim), output=DataDestination(volume_source=claim)))
    volumes = pod(made)["volumes"]
    assert {"name": "data-volume", **claim} in volumes and {"name": "results-volume", **claim} in volumes
    assert {"/mnt/data": "data-volume", "/mnt/results": "results-volume"}.items() <= mounts(container(made)).items()


def test_data_from_an_image_is_unpacked_before_training() -> None:
    made = planned(tuning(input=DataSource(image="r.example.com/d:1", image_pull_secrets=("in",))))
    puller = pod(made)["initContainers"][-1]
    assert puller["command"][-2:] == ["r.example.com/d:1", "/mnt/data"] and login(made, puller) == "in"


def test_tuning_knows_which_modules_to_adapt() -> None:
    env = {one["name"]: one.get("value") for one in container(planned(tuning()))["env"]}
    assert env["DEFAULT_TARGET_MODULES"] == "qkv_proj,o_proj,gate_up_proj,down_proj"


def test_a_pool_is_what_aks_takes() -> None:
    body = agent_pool(planned(inference()))
    assert (body["vmSize"], body["count"], body["mode"]) == ("Standard_NC24ads_A100_v4", 1, "User")
    assert (body["osType"], body["osSKU"], body["osDiskSizeGB"]) == ("Linux", "Ubuntu", 128)
    assert body["nodeLabels"].items() >= {"apps": "phi", "kaito.sh/workspace": "phi"}.items()
    assert not {"scaleSetPriority", "enableAutoScaling", "availabilityZones"} & set(body)


def test_a_spot_pool_in_zones_that_scales_by_itself() -> None:
    body = agent_pool(planned(inference(), nodes=NodeOptions(spot=True, min_count=1, max_count=3, zones=("1", "2"))))
    assert (body["scaleSetPriority"], body["spotMaxPrice"], body["availabilityZones"]) == ("Spot", -1, ["1", "2"])
    assert (body["enableAutoScaling"], body["minCount"], body["maxCount"]) == (True, 1, 3)


def test_nodes_that_exist_have_no_pool() -> None:
    with pytest.raises(ValueError, match="exist already"):
        agent_pool(planned(inference(None), nodes=EXISTING))


def test_on_nodes_without_gpus_none_are_asked_for() -> None:
    made = planned(inference(None, "smollm2-135m-instruct"), nodes=replace(EXISTING, gpus_per_node=0))
    assert "limits" not in container(made)["resources"]


def test_clients_send_the_key_of_a_secret_which_stands_in_no_argument() -> None:
    annotations = {"pulumi.kaito.sh/api-key-secret": "key"}
    vllm = container(planned(inference(annotations=annotations)))
    reference = {"secretKeyRef": {"name": "key", "key": "API_KEY"}}
    assert {"name": "VLLM_API_KEY", "valueFrom": reference} in vllm["env"]
    on_cpu = container(planned(inference(CPU, "smollm2-135m-instruct", annotations=annotations)))
    file = on_cpu["command"][on_cpu["command"].index("--api-key-file") + 1]
    mounts = {one["mountPath"]: one["name"] for one in on_cpu["volumeMounts"]}
    assert mounts[file.rpartition("/")[0]] == "api-key" and file.endswith("/API_KEY")
