"""The metadata of the objects of a Workspace. Called by services, inference and tuning."""

from typing import Any

from kaito_components import names
from kaito_components.plan import Plan


def metadata(plan: Plan, name: str) -> dict[str, Any]:
    """Name, namespace, labels, and that Pulumi's per-object wait is left to `readiness`."""
    return {
        "name": name,
        "namespace": plan.namespace,
        "labels": names.object_labels(plan.name, plan.spec.inference_set),
        "annotations": {"pulumi.com/skipAwait": "true"},
    }


def workload_metadata(plan: Plan) -> dict[str, Any]:
    """That of the Deployment, StatefulSet or Job: also what `kaito status` reads there."""
    described = metadata(plan, plan.name)
    described["annotations"] |= {
        names.INSTANCE_TYPE_ANNOTATION: plan.instance_type,
        names.NODE_COUNT_ANNOTATION: str(plan.node_count),
        names.MODE_ANNOTATION: "tuning" if plan.spec.tuning else "inference",
    }
    return described
