"""`kaito status` reads what is expected of a Workspace from the workload itself."""

from typing import Any

from kaito_components.live.snapshot import goal_of

EXPRESSIONS = [
    {"key": "apps", "operator": "In", "values": ["phi"]},
    {"key": "kubernetes.azure.com/agentpool", "operator": "In", "values": ["ws1234567890"]},
]


def workload(kind: str = "Deployment", **pod: Any) -> dict[str, Any]:
    limits = {"nvidia.com/gpu": "2"}
    return {
        "kind": kind,
        "metadata": {
            "name": "phi",
            "namespace": "models",
            "labels": {"kaito.sh/workspace": "phi"},
            "annotations": {"kaito.sh/instance-type": "Standard_NC12s_v3", "kaito.sh/node-count": "3"},
        },
        "spec": {"template": {"spec": {"containers": [{"name": "main", "resources": {"limits": limits}}], **pod}}},
    }


def affinity(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    selectors = [{"matchExpressions": term} for term in terms]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": selectors}}}


def test_instance_and_node_count_are_annotations() -> None:
    goal = goal_of(workload())
    assert (goal.workspace, goal.namespace, goal.instance, goal.expected_nodes) == (
        "phi",
        "models",
        "Standard_NC12s_v3",
        3,
    )


def test_gpus_per_node_are_the_pods_limits() -> None:
    assert goal_of(workload()).gpus_per_node == 2


def test_slices_of_gpus_are_the_pods_limits_too() -> None:
    pod = {"containers": [{"name": "main", "resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}}]}
    goal = goal_of(workload(**pod))
    assert (goal.gpu_resource, goal.gpus_per_node) == ("nvidia.com/mig-1g.10gb", 1)


def test_nodes_are_those_of_the_required_affinity() -> None:
    goal = goal_of(workload(affinity=affinity(EXPRESSIONS)))
    assert goal.node_selector == {"apps": "phi", "kubernetes.azure.com/agentpool": "ws1234567890"}


def test_a_node_selector_of_a_template_counts_too() -> None:
    assert goal_of(workload(nodeSelector={"gpu": "a100"})).node_selector == {"gpu": "a100"}


def test_an_affinity_that_is_no_plain_selector_narrows_nothing_down() -> None:
    either = affinity(EXPRESSIONS[:1], EXPRESSIONS[1:])
    exists = affinity([{"key": "gpu", "operator": "Exists"}])
    assert goal_of(workload(affinity=either)).node_selector == goal_of(workload(affinity=exists)).node_selector == {}


def test_a_job_is_tuning_and_shall_complete() -> None:
    goal = goal_of(workload("Job"))
    assert (goal.is_tuning, goal.until) == (True, "completed")
