"""What `monitoring` makes in a stack: one dashboard, a ServiceMonitor per Workspace where the cluster has the kind."""

import json
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pulumi
import pytest

from kaito_components import Workspace
from tests.loopback import Silent, serving
from tests.unit.components.mocked_engine import Mocked
from tests.unit.components.test_workspace_component import ON_OWN_NODES

SHOWN = [("service-monitor-unknown", "warning")]
BOTH = {"dashboard": True, "service_monitor": True}
ACCEPT = {"pulumi.kaito.sh/accept": "service-monitor-unknown: the operator comes next week"}
Warnings = list[tuple[str, str]]


class ApiServer(ThreadingHTTPServer):
    """Kinds of the Prometheus operator; None: the group is not there."""

    kinds: list[str] | None = None


class Handler(Silent):
    """Discovery of the one group."""

    server: ApiServer

    def do_GET(self) -> None:
        there = self.path == "/apis/monitoring.coreos.com/v1" and self.server.kinds is not None
        body = json.dumps({"resources": [{"kind": kind} for kind in self.server.kinds or ()]}).encode()
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def running() -> Iterator[ApiServer]:
    with serving(ApiServer(("127.0.0.1", 0), Handler)) as server:
        yield server


@pytest.fixture
def api(running: ApiServer) -> ApiServer:
    running.kinds = None
    return running


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Warnings:
    """(severity, text) of the diagnostics about ServiceMonitors."""
    heard: Warnings = []
    for severity in ("warn", "info"):

        def hear(text: str, resource: Any = None, severity: str = severity) -> None:
            heard.extend([(severity, text)] if "ServiceMonitor" in text else [])

        monkeypatch.setattr(pulumi.log, severity, hear)
    return heard


def kubeconfig(port: int) -> str:
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    content = {"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "c"}
    return json.dumps({"apiVersion": "v1", "kind": "Config", **content})


def program(port: int, monitoring: Any = BOTH, count: int = 2, **args: Any) -> Callable[[], Any]:
    """Workspaces on a cluster of that port."""
    cluster: Any = {"kubeconfig": kubeconfig(port), "monitoring": monitoring}
    base: Any = {**ON_OWN_NODES, "cluster": cluster, **args}
    return lambda: [Workspace(f"w{number}", base) for number in range(count)]


def test_a_stack_has_one_dashboard_and_a_service_monitor_for_each_workspace(
    mocked: Mocked, api: ApiServer, said: Warnings
) -> None:
    api.kinds = ["PodMonitor", "ServiceMonitor"]
    mocked.run(program(api.server_port))
    assert mocked.one("ConfigMap").inputs["metadata"]["labels"]["grafana_dashboard"] == "1"
    monitors = mocked.of("monitoring.coreos.com/v1:ServiceMonitor")
    assert {one.name for one in monitors} == {"w0-servicemonitor", "w1-servicemonitor"} and not said
    assert {one.parent for one in monitors} == {one.urn for one in mocked.of(":Workspace")}


@pytest.mark.parametrize("kinds", [None, ["PodMonitor"]])
def test_without_the_kind_no_service_monitor_is_made_and_each_workspace_warns(
    mocked: Mocked, api: ApiServer, said: Warnings, kinds: list[str] | None
) -> None:
    api.kinds = kinds
    mocked.run(program(api.server_port))
    assert not mocked.of("ServiceMonitor") and mocked.of("ConfigMap")
    assert [severity for severity, text in said if text.startswith("service-monitor-unknown: ")] == ["warn", "warn"]


def test_a_strict_program_stops_at_the_missing_kind_unless_it_is_accepted(
    mocked: Mocked, api: ApiServer, said: Warnings
) -> None:
    with pytest.raises(pulumi.RunError, match=r"Prometheus operator.*because of strict"):
        mocked.run(program(api.server_port, count=1, strict=True, image_registry="r.example.com"))
    mocked.run(program(api.server_port, count=1, strict=True, image_registry="r.example.com", annotations=ACCEPT))
    assert [severity for severity, _ in said] == ["info"] and "accepted: the operator comes next week" in said[0][1]


def test_a_cluster_that_cannot_be_asked_keeps_its_service_monitors(mocked: Mocked, said: Warnings) -> None:
    mocked.run(program(1, count=1))
    assert mocked.of("ServiceMonitor") and not said


@pytest.mark.parametrize("wanted", ["dashboard", "service_monitor", ""])
def test_each_switch_makes_its_own_objects_and_no_others(mocked: Mocked, api: ApiServer, wanted: str) -> None:
    api.kinds = ["ServiceMonitor"]
    mocked.run(program(api.server_port, {wanted: True} if wanted else {}, count=1))
    assert bool(mocked.of("ConfigMap")) == (wanted == "dashboard")
    assert bool(mocked.of("ServiceMonitor")) == (wanted == "service_monitor")


def test_a_switch_that_is_none_is_refused_by_its_name(mocked: Mocked) -> None:
    with pytest.raises(pulumi.RunError, match=r"args\.monitoring\.grafana"):
        mocked.run(program(1, {"grafana": True}))
    with pytest.raises(pulumi.RunError, match=r"args\.monitoring\.dashboard: 'yes' must be of type bool"):
        mocked.run(program(1, {"dashboard": "yes"}))
