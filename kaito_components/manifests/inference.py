"""The workload that serves: a Deployment on one node, a StatefulSet over several, or the user's own pod template."""

import copy
from typing import Any

from kaito_components import names
from kaito_components.manifests import cuda_toolkit, pods, security
from kaito_components.manifests.metadata import workload_metadata
from kaito_components.plan import Plan
from kaito_components.plan.deadlines import NODE_SECONDS
from kaito_components.plan.runtime import API_KEY_PATH, adapter_path

PROBE_SECONDS = 10
GRACE_SECONDS = 120  # for requests that are being answered when the pod must go; PRE_STOP_SECONDS are part of it
PRE_STOP_SECONDS = 10  # until every node has heard that the pod gets no more requests; only then is it told to stop


def workload(plan: Plan) -> dict[str, Any]:
    """The Deployment or StatefulSet of an inference Workspace."""
    described = workload_metadata(plan)
    spec: dict[str, Any] = {
        "replicas": plan.node_count,
        "selector": {"matchLabels": {names.WORKSPACE_LABEL: plan.name}},
        "template": _from_template(plan)
        if plan.spec.inference and plan.spec.inference.template
        else _from_preset(plan),
    }
    if plan.node_count == 1:
        # A pod takes all GPUs of its node: on the same node a new pod fits only when the old one has gone, so the old
        # one may not be kept until the new one is ready. That is a gap in service; anything else would wait for ever.
        gone = 0 if plan.has_room_for_two else 1
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": gone}}
        spec |= {"strategy": strategy, "progressDeadlineSeconds": plan.startup_seconds + NODE_SECONDS}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": described, "spec": spec}
    spec |= {"serviceName": names.headless_name(plan.name), "podManagementPolicy": "Parallel"}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": described, "spec": spec}


def _from_template(plan: Plan) -> dict[str, Any]:
    """The user's pod template, placed on the Workspace's nodes; everything else stays the user's."""
    assert plan.spec.inference and plan.spec.inference.template is not None
    template: dict[str, Any] = copy.deepcopy(dict(plan.spec.inference.template))
    described = template.setdefault("metadata", {})
    described["labels"] = {**(described.get("labels") or {}), **names.object_labels(plan.name, plan.spec.inference_set)}
    spec = template.setdefault("spec", {})
    placed = pods.placement(plan)
    spec["tolerations"] = [*(spec.get("tolerations") or []), *placed["tolerations"]]
    if "affinity" in placed:
        spec["affinity"] = {**(spec.get("affinity") or {}), **placed["affinity"]}
    return template


def _from_preset(plan: Plan) -> dict[str, Any]:
    spec = plan.spec.inference
    assert spec and spec.preset
    volumes, mounts = pods.base_volumes()
    weights_volume, weights_mount = pods.weights_volume(plan)
    config_volumes, config_mounts = pods.config_volume(spec.config)
    adapter_volumes, adapter_mounts, pullers = _adapters(plan)
    pull_secrets = list(spec.preset.image_pull_secrets)
    for adapter in spec.adapters:
        pull_secrets += [name for name in adapter.source.image_pull_secrets if name not in pull_secrets]
    key_volumes, key_mounts = _api_key(plan)
    weights_logins = pods.login_volumes(spec.preset.image_pull_secrets) if plan.weights.kind == "image" else []
    logins = {volume["name"]: volume for volume in [*weights_logins, *adapter_volumes]}
    context = security.of_container(plan)
    container: dict[str, Any] = {
        "name": "inference",
        "image": plan.image,
        "command": list(plan.command),
        "ports": [{"name": "http", "containerPort": names.SERVER_PORT}],
        "env": _environment(plan),
        "resources": pods.resources(plan),
        "volumeMounts": [
            *mounts,
            weights_mount,
            *config_mounts,
            *adapter_mounts,
            *key_mounts,
            *security.scratch_mounts(context),
        ],
        "securityContext": context,
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},  # Kubernetes' own, from 1.30 on
        **_probes(plan),
    }
    pod: dict[str, Any] = {
        "containers": [container],
        "volumes": [*volumes, weights_volume, *config_volumes, *logins.values(), *key_volumes],
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        # A Service named "serving" would put SERVING_PORT and more into the container, whose own settings these are.
        "enableServiceLinks": False,
        **security.of_pod(plan),
        **pods.placement(plan),
    }
    init = [*pods.weights_puller(plan, spec.preset.image_pull_secrets), *pullers]
    if cuda_toolkit.needed(plan):
        pod["volumes"].append(cuda_toolkit.volume())
        container["volumeMounts"].append(cuda_toolkit.mount())
        init.insert(0, cuda_toolkit.provisioner(plan))
    pod["volumes"] += security.scratch_volumes([container, *init])
    if init:
        pod["initContainers"] = init
    if pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    return {"metadata": pods.template_metadata(plan), "spec": pod}


def _adapters(plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """(volumes, mounts, init containers) that bring each adapter to its folder."""
    assert plan.spec.inference
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    pullers: list[dict[str, Any]] = []
    for adapter in plan.spec.inference.adapters:
        source, path = adapter.source, adapter_path(adapter)
        name = f"adapter-{source.name}"
        if source.image:
            volumes += [{"name": name, "emptyDir": {}}, *pods.login_volumes(source.image_pull_secrets)]
            pullers.append(
                pods.image_puller(f"puller-{source.name}", source.image, path, name, source.image_pull_secrets)
            )
        else:
            volumes.append({"name": name, **(source.volume_source or {})})
        mounts.append({"name": name, "mountPath": path, "readOnly": True})
    return volumes, mounts, pullers


def _api_key(plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(volumes, mounts) of the key that clients must send; vLLM takes it from its environment."""
    secret = plan.spec.annotations.get(names.API_KEY_ANNOTATION)
    if secret is None or plan.runtime == "vllm":
        return [], []
    items = [{"key": names.API_KEY, "path": names.API_KEY}]
    volume = {"name": "api-key", "secret": {"secretName": secret, "items": items}}
    return [volume], [{"name": "api-key", "mountPath": API_KEY_PATH, "readOnly": True}]


def _environment(plan: Plan) -> list[dict[str, Any]]:
    assert plan.spec.inference and plan.spec.inference.preset
    environment = pods.model_env(plan, plan.spec.inference.preset.model_access_secret)
    if plan.runtime == "vllm":
        environment.append({"name": "VLLM_USE_FLASHINFER_SAMPLER", "value": "0"})
        deep_gemm = plan.preset is not None and plan.preset.deep_gemm
        environment.append({"name": "VLLM_USE_DEEP_GEMM", "value": str(int(deep_gemm))})
        if secret := plan.spec.annotations.get(names.API_KEY_ANNOTATION):
            reference = {"name": secret, "key": names.API_KEY}
            environment.append({"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": reference}})
    if cuda_toolkit.needed(plan):
        environment.append({"name": "CUDA_HOME", "value": cuda_toolkit.HOME})
    if plan.node_count > 1:
        field = {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}}
        environment.append({"name": "POD_INDEX", "valueFrom": field})
    return environment


def _probes(plan: Plan) -> dict[str, Any]:
    """KAITO's: startup waits as long as the plan allows for loading, then both others ask every ten seconds.

    Ours has a question of its own for liveness, which an engine that hangs fails and one that drains passes.
    """
    if plan.node_count > 1:
        return _multi_node_probes(plan)
    health: dict[str, Any] = {"httpGet": {"path": "/health", "port": names.SERVER_PORT}, "periodSeconds": PROBE_SECONDS}
    path = "/health/live" if plan.runtime == "transformers" else "/health"
    alive = {**health, "httpGet": {**health["httpGet"], "path": path}}
    return {
        "startupProbe": {**health, "failureThreshold": plan.startup_seconds // PROBE_SECONDS},
        "livenessProbe": {**alive, "failureThreshold": 3, "timeoutSeconds": 5},
        "readinessProbe": health,
    }


def _multi_node_probes(plan: Plan) -> dict[str, Any]:
    """KAITO's script in its image asks the leader; only the leader is ever restarted."""
    leader = names.leader_address(plan.namespace, plan.name)
    script = ["python3", "/workspace/vllm/multi-node-health-check.py"]
    ready = [*script, "readiness", f"--leader-address={leader}", f"--vllm-port={names.SERVER_PORT}"]
    alive = [*script, "liveness", f"--leader-address={leader}", "--ray-port=6379"]
    return {
        "startupProbe": {
            "exec": {"command": ready},
            "periodSeconds": PROBE_SECONDS,
            "failureThreshold": plan.startup_seconds // PROBE_SECONDS,
        },
        "livenessProbe": {
            "exec": {"command": alive},
            "periodSeconds": PROBE_SECONDS,
            "initialDelaySeconds": 60,
            "timeoutSeconds": 5,
            "failureThreshold": 1,
            "terminationGracePeriodSeconds": 1,
        },
        "readinessProbe": {"exec": {"command": ready}, "periodSeconds": PROBE_SECONDS, "failureThreshold": 1},
    }
