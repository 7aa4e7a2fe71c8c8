"""ExistingNodes in the process that the engine starts for it."""

from typing import Any

import grpc
import pytest
from dynamic_process import DynamicProcess

from kaito_components.nodes.existing import ExistingNodesProvider
from local_cloud.providers.wire import UNKNOWN

PROVIDER = ExistingNodesProvider()


def props(**changes: Any) -> dict[str, Any]:
    kubeconfig = """
    {clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: u, user: {token: s3cr3t}}],
     contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}
    """
    values = {"kubeconfig": kubeconfig, "node_selector": {"apps": "phi"}, "expected_nodes": 1.0, "gpus_per_node": 2.0}
    return values | changes


def test_a_cluster_that_is_not_known_at_preview_is_not_asked(process: DynamicProcess) -> None:
    inputs, failures = process.check(PROVIDER, props(kubeconfig=UNKNOWN))
    assert inputs["kubeconfig"] is UNKNOWN and not failures


def test_a_cluster_that_does_not_answer_passes_the_check_with_a_warning(own_process: DynamicProcess) -> None:
    assert own_process.check(PROVIDER, props())[1] == []
    assert (
        "warning: nodes with apps=phi could not be checked: https://127.0.0.1:1 does not answer" in own_process.output()
    )


def test_a_cluster_that_does_not_answer_fails_the_up(process: DynamicProcess) -> None:
    with pytest.raises(grpc.RpcError) as error:
        process.create(PROVIDER, props())
    said = str(error.value.details())  # type: ignore[attr-defined]
    assert said == "https://127.0.0.1:1 does not answer: Connection refused"


@pytest.mark.parametrize(
    ("change", "matters"),
    [({"node_selector": {"apps": "b"}}, True), ({"expected_nodes": 2.0}, True), ({"kubeconfig": "fresh"}, False)],
)
def test_only_what_is_asked_for_is_a_change(process: DynamicProcess, change: dict[str, Any], matters: bool) -> None:
    assert process.changes(PROVIDER, props(), props(**change)) == matters
