"""A plan written down: Kubernetes objects and an agent-pool body, as plain dicts. Pure; called by the components."""

from typing import Any

from kaito_components.manifests import inference, services, tuning
from kaito_components.manifests.device_plugin import device_plugin
from kaito_components.manifests.handover import handover, priority
from kaito_components.manifests.monitoring import dashboard
from kaito_components.manifests.pool import agent_pool
from kaito_components.manifests.services import set_service
from kaito_components.plan import Plan

__all__ = ["agent_pool", "dashboard", "device_plugin", "priority", "set_service", "workload_objects"]


def workload_objects(plan: Plan, job_priority: str = "") -> list[dict[str, Any]]:
    """The objects of a Workspace in the order in which they are made: Services, what a Job needs, then the workload.

    Args:
        plan: the plan.
        job_priority: the PriorityClass of a tuning Job that shares its nodes with a server.
    """
    workload = tuning.job(plan, job_priority) if plan.spec.tuning else inference.workload(plan)
    return [*services.services(plan), *handover(plan, job_priority), workload]
