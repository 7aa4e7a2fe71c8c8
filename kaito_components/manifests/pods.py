"""What inference pods and tuning pods have in common: where they run, and how weights, data and secrets reach them."""

import hashlib
from collections.abc import Sequence
from typing import Any

from kaito_components import names
from kaito_components.manifests import security
from kaito_components.plan import Plan
from kaito_components.plan.runtime import CONFIG_PATH, WEIGHTS_PATH
from kaito_components.sizing.estimator import unpacked_bytes
from kaito_components.units import GIB, quantity

ORAS_IMAGE = "mcr.microsoft.com/oss/v2/oras-project/oras:v1.2.3"  # KAITO's puller of model artefacts
SKOPEO_IMAGE = "mcr.microsoft.com/aks/skopeo:1.14.4-6"  # KAITO's puller of adapter images
SHM_BYTES = 8 * GIB
LOGIN_PATH = "/mnt/login"  # not below /root: images of ours run as another user

# Takes /data out of every layer of an image. $1 is the image, $2 the target. A layer that cannot be read whole ends it:
# a pod must not start with a part. The files beside the layers are skopeo's own and the image's JSON configuration.
_PULL = (
    f"set -eu; work=$(mktemp -d); trap 'rm -rf \"$work\"' EXIT; auth={LOGIN_PATH}/config.json; "
    '[ ! -f "$auth" ] || set -- "$@" --src-authfile "$auth"; image=$1; target=$2; shift 2; '
    'skopeo copy --dest-decompress "$@" "docker://$image" "dir:$work/image"; mkdir "$work/files"; '
    'for name in $(tr -c 0-9a-f "\\n" <"$work/image/manifest.json"); do '  # the layers' files, in their order
    'layer=$work/image/$name; [ -f "$layer" ] || continue; '
    '[ "$(head -c 1 "$layer" | tr -d "\\0")" != "{" ] || continue; '
    'names=$(tar -tf "$layer") || { echo "puller: $image: a layer is damaged" >&2; exit 1; }; '
    'for folder in data ./data; do case "\n$names" in *"\n$folder/"*) tar -xf "$layer" -C "$work/files" "$folder";; '
    "esac; done; done; "
    '[ -d "$work/files/data" ] || { echo "puller: $image: no layer has a folder /data" >&2; exit 1; }; '
    'mkdir -p "$target"; cp -r "$work"/files/data/. "$target"'
)


def placement(plan: Plan) -> dict[str, Any]:
    """Affinity to the Workspace's nodes, and the tolerations for their taints."""
    expressions = [{"key": k, "operator": "In", "values": [v]} for k, v in sorted(plan.node_selector.items())]
    required = {"nodeSelectorTerms": [{"matchExpressions": expressions}]}
    placed: dict[str, Any] = {"tolerations": tolerations(plan.gpu_resource)}
    if expressions:
        placed["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    return placed


def tolerations(gpu_resource: str) -> list[dict[str, Any]]:
    """KAITO's: GPU nodes, those of the MIG profile, its own taint, and spot nodes."""
    return [
        *(
            {"key": key, "operator": "Exists", "effect": "NoSchedule"}
            for key in dict.fromkeys((names.GPU_RESOURCE, gpu_resource))
        ),
        {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
        {
            "key": "kubernetes.azure.com/scalesetpriority",
            "operator": "Equal",
            "value": "spot",
            "effect": "NoSchedule",
        },
    ]


def resources(plan: Plan) -> dict[str, Any]:
    """All GPUs of the node, or a slice of one; without GPUs, memory for the weights.

    CPU and memory are asked for in any case: a pod that asks for none is the first to be evicted from a full node.
    """
    if plan.gpus_per_node:
        gpus = {plan.gpu_resource: str(plan.gpus_per_node)}
        return {"requests": {"cpu": "1", "memory": "1Gi", **gpus}, "limits": gpus}
    weights = unpacked_bytes(plan.preset, plan.dtype) if plan.preset else 0
    return {"requests": {"cpu": "1", "memory": quantity(weights + GIB)}}


def template_metadata(plan: Plan) -> dict[str, Any]:
    """Labels of the pods, and a checksum of the configuration beside the Workspace: another one makes new pods."""
    metadata: dict[str, Any] = {"labels": names.object_labels(plan.name, plan.spec.inference_set)}
    if plan.config_map:
        text = "\n".join(f"{key}={value}" for key, value in sorted(plan.config_map.data.items()))
        metadata["annotations"] = {"kaito.sh/config-checksum": hashlib.sha256(text.encode()).hexdigest()[:16]}
    return metadata


def base_volumes() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Shared memory for tensor parallelism and data loaders: (volumes, mounts)."""
    volume = {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": quantity(SHM_BYTES)}}
    return [volume], [{"name": "dshm", "mountPath": "/dev/shm"}]


def weights_volume(plan: Plan) -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume with the model's weights and its mount."""
    mount: dict[str, Any] = {"name": "model-weights-volume", "mountPath": WEIGHTS_PATH}
    match plan.weights.kind:
        case "pvc":
            claim, _, sub_path = plan.weights.reference.partition("/")
            source: dict[str, Any] = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
            mount |= {"readOnly": True} | ({"subPath": sub_path} if sub_path else {})
        case "hostPath":
            source = {"hostPath": {"path": plan.weights.reference, "type": "Directory"}}
            mount["readOnly"] = True
        case _:
            source = {"emptyDir": {}}
    return {"name": "model-weights-volume", **source}, mount


def weights_puller(plan: Plan, secrets: Sequence[str]) -> list[dict[str, Any]]:
    """The init container that fetches the weights' artefact, when they come as one."""
    if plan.weights.kind != "image":
        return []
    command = ["oras", "pull", plan.weights.reference, "-o", WEIGHTS_PATH]
    target = {"name": "model-weights-volume", "mountPath": WEIGHTS_PATH}
    return [_puller("model-weights-downloader", ORAS_IMAGE, command, target, secrets)]


def image_puller(name: str, image: str, target: str, volume: str, secrets: Sequence[str]) -> dict[str, Any]:
    """An init container that puts the `/data` of a container image into `target` on `volume`."""
    command = ["/bin/sh", "-c", _PULL, "puller", image, target]
    return _puller(name, SKOPEO_IMAGE, command, {"name": volume, "mountPath": target}, secrets)


def _puller(
    name: str, image: str, command: list[str], target: dict[str, Any], secrets: Sequence[str]
) -> dict[str, Any]:
    """An init container that fetches something with the login of `secrets`."""
    context = security.restricted()
    return {
        "name": name,
        "image": image,
        "command": command,
        "env": [{"name": "HOME", "value": security.SCRATCH}, *login_env(secrets)],
        "volumeMounts": [target, *login_mounts(secrets), *security.scratch_mounts(context)],
        "securityContext": context,
    }


def login_volumes(secrets: Sequence[str]) -> list[dict[str, Any]]:
    """The registry login of the first pull secret, as docker's config.json."""
    items = [{"key": ".dockerconfigjson", "path": "config.json"}]
    return [{"name": names.login_volume(name), "secret": {"secretName": name, "items": items}} for name in secrets[:1]]


def login_mounts(secrets: Sequence[str]) -> list[dict[str, Any]]:
    """Where the login of `login_volumes` is."""
    return [{"name": names.login_volume(name), "mountPath": LOGIN_PATH, "readOnly": True} for name in secrets[:1]]


def login_env(secrets: Sequence[str]) -> list[dict[str, Any]]:
    """Docker's clients (oras among them) look for their login here."""
    return [{"name": "DOCKER_CONFIG", "value": LOGIN_PATH} for _ in secrets[:1]]


def config_volume(name: str | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The user's ConfigMap: (volumes, mounts), both empty without one."""
    if not name:
        return [], []
    volume = {"name": "config-volume", "configMap": {"name": name}}
    return [volume], [{"name": "config-volume", "mountPath": CONFIG_PATH, "readOnly": True}]


def model_env(plan: Plan, token_secret: str | None) -> list[dict[str, Any]]:
    """For downloads from Hugging Face: onto the weights' volume, with the token from the user's Secret."""
    environment: list[dict[str, Any]] = []
    if plan.weights.kind == "huggingface":
        environment.append({"name": "HF_HOME", "value": WEIGHTS_PATH})
    if token_secret:
        reference = {"secretKeyRef": {"name": token_secret, "key": "HF_TOKEN"}}
        environment.append({"name": "HF_TOKEN", "valueFrom": reference})
    return environment
