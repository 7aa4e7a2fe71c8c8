"""The server of a tuning Workspace, and the right of its Job to give that server a pod. Called by manifests.

The Job's ServiceAccount may read and change the scale of this one Deployment, and nothing else.
"""

from typing import Any

from kaito_components import names
from kaito_components.manifests import inference
from kaito_components.manifests.metadata import metadata
from kaito_components.plan import Plan

RIGHTS = "rbac.authorization.k8s.io"


def handover(plan: Plan, job_priority: str) -> list[dict[str, Any]]:
    """ServiceAccount, Role, RoleBinding and Deployment, in this order; none for a Workspace that does not serve."""
    if plan.serving is None:
        return []
    name = names.scaler_name(plan.name)
    rule = {
        "apiGroups": ["apps"],
        "resources": ["deployments/scale"],
        "resourceNames": [plan.name],
        "verbs": ["get", "patch"],
    }
    subject = {"kind": "ServiceAccount", "name": name, "namespace": plan.namespace}
    role = {"apiGroup": RIGHTS, "kind": "Role", "name": name}
    described = metadata(plan, name)
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": described},
        {"apiVersion": f"{RIGHTS}/v1", "kind": "Role", "metadata": described, "rules": [rule]},
        {
            "apiVersion": f"{RIGHTS}/v1",
            "kind": "RoleBinding",
            "metadata": described,
            "roleRef": role,
            "subjects": [subject],
        },
        _server(plan.serving, job_priority),
    ]


def _server(serving: Plan, job_priority: str) -> dict[str, Any]:
    """The Deployment, which has no pod until the Job has pushed its adapter.

    Where the pool may grow, the pod is worth as much as the Job's: the next Job waits for a node of its own and does
    not take this one's. Elsewhere it would wait for ever, so there it goes first.
    """
    made = inference.workload(serving)
    made["metadata"]["annotations"][names.SCALED_BY_ANNOTATION] = f"Job {serving.name}"
    made["spec"]["replicas"] = 0
    made["spec"]["selector"]["matchLabels"][names.PART_LABEL] = names.SERVING_PART
    made["spec"]["template"]["metadata"]["labels"][names.PART_LABEL] = names.SERVING_PART
    if serving.may_grow:
        made["spec"]["template"]["spec"]["priorityClassName"] = job_priority
    return made


def priority(name: str) -> dict[str, Any]:
    """The PriorityClass of Jobs that share their nodes with a server: a Job that comes anew gets its place first."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name, "labels": dict(names.OWN_LABELS)},
        "value": 1000,
        "description": "Tuning Jobs of one stack, whose Workspaces serve on the same nodes when they are through.",
    }
