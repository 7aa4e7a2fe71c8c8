"""The ServiceMonitor of a Workspace, where the cluster has that kind. Called by workspace."""

from collections.abc import Callable

import pulumi

from kaito_components import names
from kaito_components.connection import Cluster
from kaito_components.declare import kubernetes_object
from kaito_components.errors import Finding
from kaito_components.manifests.monitoring import MONITORS, is_monitored, service_monitor
from kaito_components.plan import Plan

FIELD = "kaito:monitoring.serviceMonitor"
TEXT = (
    f"the cluster has no ServiceMonitor ({MONITORS}), so none is made;"
    " install the Prometheus operator and run up again, or set it to false"
)


def monitor(plan: Plan, cluster: Cluster, parent: pulumi.Resource, say: Callable[[Finding], None]) -> None:
    """Declares what the switches ask for; `say` hears it if there is no such kind.

    Which kinds there are is known once the kubeconfig is: at preview, but for a cluster that the program makes.
    """
    if not is_monitored(plan):
        return
    cluster.show_dashboard()
    if cluster.monitoring.service_monitor:
        cluster.takes_monitors.apply(lambda takes: _declare(plan, cluster, parent) if takes else say(_missing(plan)))


def _declare(plan: Plan, cluster: Cluster, parent: pulumi.Resource) -> None:
    logical = f"{names.logical_name(plan.namespace, plan.name)}-servicemonitor"
    kubernetes_object(logical, service_monitor(plan), cluster.provider, pulumi.ResourceOptions(parent=parent))


def _missing(plan: Plan) -> Finding:
    return plan.spec.finding("warning", "service-monitor-unknown", FIELD, TEXT)
