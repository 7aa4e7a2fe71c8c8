"""What containers may do. Called by whatever writes a pod.

Ours and the pullers keep to Kubernetes' `restricted` Pod Security Standard, with a root file system that is read-only.
KAITO's image of vLLM was made to run as root: it keeps what that needs, and no more.
"""

from collections.abc import Sequence
from typing import Any

from kaito_components.plan import Plan

USER = 1000  # as both Dockerfiles say; pullers write as the same one, so that what they fetch can be read
SCRATCH = "/tmp"
_VOLUME = "tmp"


def of_container(plan: Plan) -> dict[str, Any]:
    """securityContext of the container that serves or tunes."""
    return of_vllm() if plan.runtime == "vllm" else restricted()


def of_pod(plan: Plan) -> dict[str, Any]:
    """The pod's part: volumes are writable for our user. A large volume that is right already is not walked through."""
    if plan.runtime == "vllm":
        return {}
    return {"securityContext": {"fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch"}}


def restricted() -> dict[str, Any]:
    """securityContext of a container that needs nothing special."""
    return {
        **of_vllm(),
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def of_vllm() -> dict[str, Any]:
    """securityContext of a container that runs as root."""
    return {"allowPrivilegeEscalation": False, "seccompProfile": {"type": "RuntimeDefault"}}


def scratch_mounts(context: dict[str, Any]) -> list[dict[str, Any]]:
    """Where a container whose own file system is read-only writes what it does not keep."""
    return [{"name": _VOLUME, "mountPath": SCRATCH}] if context.get("readOnlyRootFilesystem") else []


def scratch_volumes(containers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The volume behind `scratch_mounts`, if one of a pod's containers has it."""
    used = any(mount["name"] == _VOLUME for one in containers for mount in one["volumeMounts"])
    return [{"name": _VOLUME, "emptyDir": {}}] if used else []
