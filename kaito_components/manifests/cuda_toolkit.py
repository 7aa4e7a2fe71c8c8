"""CUDA's compiler on the node, for models whose kernels are compiled there (DeepGEMM). Called by `inference`.

KAITO's image brings the script, not the compiler; it is fetched once a node and shared by all pods on it.
Source: KAITO 0.12 pkg/workspace/inference/preset_inferences.go, docker/presets/models/tfs/cuda-provision.sh.
"""

from typing import Any

from kaito_components.manifests import security
from kaito_components.plan import Plan

HOME = "/opt/kaito/cuda/129"  # on the node and in the container
_VOLUME = "cuda-toolkit"


def needed(plan: Plan) -> bool:
    """Whether this Workspace's model needs it."""
    return plan.runtime == "vllm" and plan.preset is not None and plan.preset.cuda_toolkit


def volume() -> dict[str, Any]:
    return {"name": _VOLUME, "hostPath": {"path": HOME, "type": "DirectoryOrCreate"}}


def mount() -> dict[str, Any]:
    """For the container that serves."""
    return {"name": _VOLUME, "mountPath": HOME, "readOnly": True}


def provisioner(plan: Plan) -> dict[str, Any]:
    """The init container that fetches it; it ends at once where it is there, and pods of one node take turns."""
    return {
        "name": "cuda-toolkit-provisioner",
        "image": plan.image,
        "command": ["flock", HOME, "/workspace/cuda-provision.sh", HOME],
        "volumeMounts": [{"name": _VOLUME, "mountPath": HOME}],
        "securityContext": security.of_vllm(),
    }
