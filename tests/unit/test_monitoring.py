"""Dashboard and ServiceMonitor: they name what the serving image and the Services have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kaito_components.manifests import dashboard, workload_objects
from kaito_components.manifests.monitoring import is_monitored, service_monitor
from tests.unit.workspaces import inference, planned, template, tuning

METRICS = (Path(__file__).parents[2] / "serving_image/api/metrics.py").read_text()
ENDINGS = {"gauge": [""], "counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
SERIES = {
    name + ending
    for kind, name in re.findall(r'(?i)(gauge|counter|histogram)\(\s*"(vllm:\w+)"', METRICS)
    for ending in ENDINGS[kind.lower()]
}


def shown(stack: str = "o/p/s") -> dict[str, Any]:
    """The dashboard as Grafana's sidecar reads it."""
    ((name, text),) = dashboard(stack)["data"].items()
    assert name.endswith(".json")
    found: dict[str, Any] = json.loads(text)
    return found


def queries() -> list[str]:
    board = shown()
    variables = [one["definition"] for one in board["templating"]["list"] if "definition" in one]
    return [*variables, *(target["expr"] for panel in board["panels"] for target in panel["targets"])]


def test_every_query_is_for_a_series_that_the_server_has() -> None:
    assert len(SERIES) > 30
    for query in queries():
        asked = set(re.findall(r"[a-z]+:\w+", query))
        assert asked and asked <= SERIES, query


def test_every_panel_keeps_to_the_chosen_data_source_namespace_and_model() -> None:
    for panel in shown()["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}" and panel["title"]
        assert all(one["expr"].count("{namespace=~") == one["expr"].count("vllm:") for one in panel["targets"])
    assert {one["name"] for one in shown()["templating"]["list"]} == {"datasource", "namespace", "model"}


def test_the_panels_lie_side_by_side() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in shown()["panels"]]
    assert len(set(places)) == len(places) and all(height == 8 and x + width <= 24 for height, width, x, _ in places)


def test_grafanas_sidecar_finds_the_dashboard_and_two_stacks_have_two() -> None:
    made = dashboard("o/p/s")
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["metadata"]["name"] != dashboard("o/p/t")["metadata"]["name"]
    assert shown("o/p/s")["uid"] != shown("o/p/t")["uid"] and len(shown()["uid"]) <= 40  # Grafana's limit


@pytest.mark.parametrize("count", [1, 2])
def test_a_service_monitor_selects_one_port_of_the_workspaces_services(count: int) -> None:
    plan = planned(inference(preset="llama-3.3-70b-instruct" if count > 1 else "phi-4-mini-instruct", count=count))
    monitor = service_monitor(plan)
    services = [one for one in workload_objects(plan) if one["kind"] == "Service"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= services[0]["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    ports = [port for one in services for port in one["spec"].get("ports", [])]
    assert [port["port"] for port in ports if port["name"] == endpoint["port"]] == [
        80
    ] and f'"{endpoint["path"]}"' in _routes()


def _routes() -> str:
    return "".join(path.read_text() for path in (Path(__file__).parents[2] / "serving_image/api").glob("*.py"))


def test_what_serves_a_preset_is_monitored_and_nothing_else() -> None:
    alone = tuning(annotations={"pulumi.kaito.sh/serve": "false"})
    assert is_monitored(planned(inference())) and is_monitored(planned(tuning()))
    assert not is_monitored(planned(template())) and not is_monitored(planned(alone))
