"""Names, label keys and ports: KAITO's where it has one. Used by plan, manifests and everything above."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

WORKSPACE_LABEL = "kaito.sh/workspace"
NAMESPACE_LABEL = "kaito.sh/workspacenamespace"
INFERENCE_SET_LABEL = "inferenceset.kaito.sh/created-by"
MACHINE_TYPE_LABEL = "kaito.sh/machine-type"
DEVICE_PLUGIN_LABEL = "pulumi.kaito.sh/device-plugin"
POOL_LABEL = "kubernetes.azure.com/agentpool"
INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"
GPU_RESOURCE = "nvidia.com/gpu"
# Labels that KAITO sets itself and takes out of a labelSelector. Source: KAITO 0.12 api/v1beta1/labels.go.
RESERVED_LABELS = frozenset({
    WORKSPACE_LABEL, NAMESPACE_LABEL, "kaito.sh/ragengine", "kaito.sh/ragenginenamespace",
    "karpenter.kaito.sh/workspace-name", "karpenter.kaito.sh/workspace-namespace",
    "karpenter.kaito.sh/inferenceset", "karpenter.kaito.sh/inferenceset-namespace",
})  # fmt: skip

INSTANCE_TYPE_ANNOTATION = "kaito.sh/instance-type"
NODE_COUNT_ANNOTATION = "kaito.sh/node-count"
MODE_ANNOTATION = "kaito.sh/mode"
RUNTIME_ANNOTATION = "kaito.sh/runtime"
IMAGE_FAMILY_ANNOTATION = "kaito.sh/node-image-family"
LOAD_BALANCER_ANNOTATION = "kaito.sh/enablelb"
BYPASS_ANNOTATION = "kaito.sh/bypass-resource-checks"
LOCAL_WEIGHTS_ANNOTATION = "kaito.sh/use-local-weights"
PERFORMANCE_ANNOTATION = "kaito.sh/performance-mode"
STACK_ANNOTATION = "pulumi.kaito.sh/stack"  # on our objects: which stack they belong to
WEIGHTS_ANNOTATION = "pulumi.kaito.sh/weights"
DTYPE_ANNOTATION = "pulumi.kaito.sh/dtype"
API_KEY_ANNOTATION = "pulumi.kaito.sh/api-key-secret"
SERVE_ANNOTATION = "pulumi.kaito.sh/serve"
SCALED_BY_ANNOTATION = "pulumi.kaito.sh/scaled-by"  # on a Deployment: who decides how many pods it has
PART_LABEL, SERVING_PART = "pulumi.kaito.sh/part", "serving"  # tells a tuning Workspace's server from its Job
ACCEPT_ANNOTATION = "pulumi.kaito.sh/accept"

MIG_RESOURCE = "nvidia.com/mig-{profile}"  # what the device plugin offers with the strategy "mixed"
MAX_STATEFUL_NAME = 52  # its pods' label controller-revision-hash adds "-" and ten characters, and holds 63

API_KEY = "API_KEY"  # the key of the Secret whose value clients must send

SERVER_PORT = 5000  # in the container
HTTP_PORT = 80  # of the Service
TORCH_PORT = 29500  # of the Service; what the quick start's Service shows beside 80


def logical_name(namespace: str, name: str) -> str:
    """What an object of a namespace is called in Pulumi; "/" stands in no Kubernetes name, so no two get the same."""
    return name if namespace == "default" else f"{namespace}/{name}"


OWN_LABELS = {"app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": "kaito"}


def object_labels(workspace: str, inference_set: str = "") -> dict[str, str]:
    """The labels of every object that is made for a Workspace, which may be a replica of an InferenceSet."""
    of_set = {INFERENCE_SET_LABEL: inference_set} if inference_set else {}
    return of_set | {
        WORKSPACE_LABEL: workspace,
        **OWN_LABELS,
    }


def login_volume(secret: str) -> str:
    """The volume with the registry login of a Secret, whose name may hold dots and be longer than a volume's."""
    return f"login-{_hex(secret, 8)}"


def device_plugin_labels(stack: str) -> dict[str, str]:
    """By which the device plugin of a stack finds the nodes of the stack's GPU pools."""
    return {DEVICE_PLUGIN_LABEL: _hex(stack, 8)}


def dashboard(stack: str) -> str:
    """The dashboard of a stack: the ConfigMap's name, and how Grafana knows it."""
    return f"kaito-serving-{_hex(stack, 8)}"


def tuning_priority(stack: str) -> str:
    """The PriorityClass of a stack's tuning Jobs."""
    return f"kaito-tuning-{_hex(stack, 8)}"


def serves(annotations: Mapping[str, str]) -> bool:
    """Whether a tuning Workspace serves what it tuned."""
    return annotations.get(SERVE_ANNOTATION) != "false"


def scaler_name(workspace: str) -> str:
    """The ServiceAccount of a tuning Job, its Role and its RoleBinding."""
    return f"{workspace}-scaler"


def service_address(namespace: str, name: str) -> str:
    """Where a Service answers inside the cluster."""
    return f"http://{name}.{namespace}.svc.cluster.local"


def headless_name(workspace: str) -> str:
    """The Service by which the pods of a Workspace on several nodes find each other."""
    return f"{workspace}-headless"


def leader_address(namespace: str, workspace: str) -> str:
    """Where the first of those pods is."""
    return f"{workspace}-0.{headless_name(workspace)}.{namespace}.svc.cluster.local"


def label_selector(labels: Mapping[str, str]) -> str:
    """Labels as `kubectl -l` and the API take them; empty for no labels."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def pool_name(namespace: str, workspace: str, immutable: Mapping[str, Any]) -> str:
    """The agent pool's name: who it belongs to, and what it is, in twelve characters.

    AKS allows Linux pools 1 to 12 lower-case letters and digits, a letter first. `immutable` is what Azure cannot
    change in a pool: another value gives another name, so that the new pool can stand beside the old one.
    """
    return f"ws{_hex(f'{namespace}/{workspace}')}{_hex(json.dumps(immutable, sort_keys=True))}"


def _hex(text: str, length: int = 5) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
