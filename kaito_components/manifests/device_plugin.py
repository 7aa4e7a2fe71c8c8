"""NVIDIA's device plugin: without it no node of AKS offers `nvidia.com/gpu`. Called by connection.

One DaemonSet per stack, for the stack's own GPU pools: a node with two device plugins counts its GPUs wrongly, and a
stack that is destroyed must not take another one's away.
"""

from typing import Any

from kaito_components import names

# What KAITO installs. Source: KAITO 0.12 charts/kaito/workspace/templates/nvidia-device-plugin-ds.yaml.
IMAGE = "mcr.microsoft.com/oss/v2/nvidia/k8s-device-plugin:v0.18.2-12"
SOCKETS = "/var/lib/kubelet/device-plugins"  # where the kubelet listens for device plugins


def device_plugin(stack: str) -> dict[str, Any]:
    """The DaemonSet for the nodes that carry `names.device_plugin_labels(stack)`."""
    own = names.device_plugin_labels(stack)
    name = f"nvidia-device-plugin-{own[names.DEVICE_PLUGIN_LABEL]}"
    container = {
        "name": "nvidia-device-plugin",
        "image": IMAGE,
        "env": [{"name": "FAIL_ON_INIT_ERROR", "value": "false"}],  # it waits for the driver instead of crashing
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "sockets", "mountPath": SOCKETS}],
    }
    pod = {
        "priorityClassName": "system-node-critical",
        "nodeSelector": own,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "sockets", "hostPath": {"path": SOCKETS}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": names.OWN_LABELS,
            "annotations": {"pulumi.com/skipAwait": "true"},
        },
        "spec": {
            "selector": {"matchLabels": own},
            "updateStrategy": {"type": "RollingUpdate"},
            "template": {"metadata": {"labels": own}, "spec": pod},
        },
    }
