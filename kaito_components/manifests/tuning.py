"""The Job that tunes: weights and data come by init containers or volumes, the adapter goes by push or volume."""

from collections.abc import Sequence
from typing import Any

from kaito_components import names
from kaito_components.manifests import pods, security
from kaito_components.manifests.metadata import workload_metadata
from kaito_components.plan import Plan
from kaito_components.plan.runtime import DATA_PATH, RESULTS_PATH

USER_ERROR = 42  # the tuning image's exit code for what no retry mends
RETRIES = 3
GRACE_SECONDS = 120  # for a checkpoint when the pod must go


def job(plan: Plan, priority: str = "") -> dict[str, Any]:
    """The Job of a tuning Workspace."""
    stop = {"action": "FailJob", "onExitCodes": {"containerName": "tuning", "operator": "In", "values": [USER_ERROR]}}
    taken_away = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": workload_metadata(plan),
        "spec": {
            "backoffLimit": RETRIES,
            "podFailurePolicy": {"rules": [stop, taken_away]},
            "template": {"metadata": pods.template_metadata(plan), "spec": _pod(plan) | _rights(plan, priority)},
        },
    }


def _pod(plan: Plan) -> dict[str, Any]:
    spec = plan.spec.tuning
    assert spec
    volumes, mounts = pods.base_volumes()
    weights_volume, weights_mount = pods.weights_volume(plan)
    config_volumes, config_mounts = pods.config_volume(spec.config)
    push = [spec.output.image_push_secret] if spec.output.image_push_secret else []
    inputs = spec.input.image_pull_secrets if spec.input.image else ()
    weights_logins = spec.preset.image_pull_secrets if plan.weights.kind == "image" else ()
    logins = {v["name"]: v for names_ in (push, inputs, weights_logins) for v in pods.login_volumes(names_)}
    data_volume = {"name": "data-volume", **(spec.input.volume_source or {"emptyDir": {}})}
    results = {"name": "results-volume", **(spec.output.volume_source or {"emptyDir": {}})}
    init = pods.weights_puller(plan, spec.preset.image_pull_secrets)
    if spec.input.image:
        init.append(pods.image_puller("data-puller", spec.input.image, DATA_PATH, "data-volume", inputs))
    context = security.of_container(plan)
    container = {
        "name": "tuning",
        "image": plan.image,
        "command": list(plan.command),
        "ports": [{"name": "http", "containerPort": names.SERVER_PORT}],
        "env": _environment(plan, push),
        "resources": pods.resources(plan),
        "volumeMounts": [
            *mounts,
            weights_mount,
            *config_mounts,
            {"name": "data-volume", "mountPath": DATA_PATH},
            {"name": "results-volume", "mountPath": RESULTS_PATH},
            *pods.login_mounts(push),
            *security.scratch_mounts(context),
        ],
        "securityContext": context,
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,  # a Service called tuning would set TUNING_PORT
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [container],
        "volumes": [*volumes, weights_volume, *config_volumes, data_volume, results, *logins.values()],
        **security.of_pod(plan),
        **pods.placement(plan),
    }
    pod["volumes"] += security.scratch_volumes([container, *init])
    if init:
        pod["initContainers"] = init
    if push:  # KAITO's: the registry that takes the adapter may well be the one that holds the images
        pod["imagePullSecrets"] = [{"name": name} for name in push]
    return pod


def _rights(plan: Plan, priority: str) -> dict[str, Any]:
    """Of a Job that gives a server its pod: it may, and it goes first where both want the same GPUs."""
    scaler = {"serviceAccountName": names.scaler_name(plan.name)} if plan.serving else {}
    return scaler | ({"priorityClassName": priority} if priority else {})


def _environment(plan: Plan, push: Sequence[str]) -> list[dict[str, Any]]:
    spec, preset = plan.spec.tuning, plan.preset
    assert spec
    environment = [*pods.model_env(plan, spec.preset.model_access_secret), *pods.login_env(push)]
    if preset and preset.tuning:  # KAITO's name; used where the user's configuration names no modules
        environment.append({"name": "DEFAULT_TARGET_MODULES", "value": ",".join(preset.tuning.target_modules)})
    if plan.gpus_per_node:
        environment.append({"name": "PYTORCH_CUDA_ALLOC_CONF", "value": "expandable_segments:True"})
    return environment
