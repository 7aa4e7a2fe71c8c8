"""Nodes that are there already: enough of them, or a sentence that says what is missing."""

import pytest
from observed import goal, node

from kaito_components.nodes.existing import ExistingNodesProvider, shortage

UNREACHABLE = """
{clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: u, user: {token: s3cr3t}}],
 contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}
"""
WANTED = {"node_selector": {"apps": "phi"}, "expected_nodes": 2.0, "gpus_per_node": 2.0, "context": None}


def test_enough_nodes_are_no_problem() -> None:
    assert shortage((node(), node("node-b")), goal(expected_nodes=2)) == ""


def test_a_node_without_gpus_is_named() -> None:
    said = shortage((node(gpus=0),), goal())
    assert said.startswith("needs 1 Ready node with apps=phi and 2 GPUs each; found 1: node-a (0 GPUs allocatable)")
    assert "device plugin" in said


def test_slices_of_a_gpu_are_counted_by_their_profile() -> None:
    wanted = goal(gpus_per_node=1, gpu_resource="nvidia.com/mig-1g.10gb")
    sliced = node("node-b", gpus=0)
    sliced["status"]["allocatable"]["nvidia.com/mig-1g.10gb"] = "7"
    assert "1 1g.10gb slice each; found 1: node-a (0 1g.10gb slices allocatable)" in shortage((node(),), wanted)
    assert shortage((node(), sliced), wanted) == ""


def test_a_node_that_is_not_ready_is_named() -> None:
    assert "node-a (not Ready, 2 GPUs allocatable)" in shortage((node(ready="Unknown"),), goal())


def test_no_node_at_all_says_how_to_get_one() -> None:
    said = shortage((), goal(expected_nodes=2, gpus_per_node=0))
    assert said.startswith("needs 2 Ready nodes with apps=phi; found 0. Label nodes")


def test_a_cluster_that_cannot_be_asked_is_a_warning_at_preview(capfd: pytest.CaptureFixture[str]) -> None:
    found = ExistingNodesProvider().check({}, {**WANTED, "kubeconfig": UNREACHABLE})
    said = capfd.readouterr().out
    assert (found.failures, said.startswith("warning: nodes with apps=phi could not be checked")) == ([], True)
    assert "s3cr3t" not in said


def test_a_cluster_that_cannot_be_asked_is_an_error_at_up() -> None:
    with pytest.raises(Exception, match="does not answer: Connection refused"):
        ExistingNodesProvider().create({**WANTED, "kubeconfig": UNREACHABLE})
