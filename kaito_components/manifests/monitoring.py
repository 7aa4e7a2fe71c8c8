"""What Grafana and Prometheus read of serving: a dashboard for a stack, a ServiceMonitor for a Workspace.

Called by connection and monitoring. The metrics have vLLM's names, so one dashboard shows both runtimes.
"""

import json
from importlib import resources
from typing import Any

from kaito_components import names
from kaito_components.manifests.metadata import metadata
from kaito_components.plan import Plan

MONITORS = "monitoring.coreos.com/v1"  # the Prometheus operator's
DASHBOARD = "data/serving_dashboard.json"


def dashboard(stack: str) -> dict[str, Any]:
    """The ConfigMap that Grafana's sidecar loads. Each stack has its own, which goes with it."""
    name = names.dashboard(stack)
    shown = json.loads(resources.files("kaito_components").joinpath(DASHBOARD).read_text(encoding="utf-8"))
    shown |= {"uid": name, "title": f"{shown['title']} ({stack})"}  # Grafana takes neither twice
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {**names.OWN_LABELS, "grafana_dashboard": "1"},
            "annotations": {},
        },
        "data": {f"{name}.json": json.dumps(shown, indent=1)},
    }


def is_monitored(plan: Plan) -> bool:
    """Whether its server has our metrics: not pods of the user's own, and not a tuning Job alone."""
    inference = plan.spec.inference
    return plan.serving is not None or (inference is not None and inference.preset is not None)


def service_monitor(plan: Plan) -> dict[str, Any]:
    """Has the Prometheus operator scrape the Workspace's Service; a headless one has no port of that name."""
    described = metadata(plan, plan.name)
    return {
        "apiVersion": MONITORS,
        "kind": "ServiceMonitor",
        "metadata": described,
        "spec": {
            "selector": {"matchLabels": {names.WORKSPACE_LABEL: plan.name}},
            "endpoints": [{"port": "http", "path": "/metrics", "interval": "30s"}],
        },
    }
