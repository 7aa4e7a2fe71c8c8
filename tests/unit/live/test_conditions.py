"""When nodes, workload and Service count as being there."""

import pytest
from observed import (
    RUNNING,
    container,
    deployment,
    ended,
    endpoint_slice,
    goal,
    job,
    node,
    pod,
    replica_set,
    running_pod,
    snapshot,
    stateful_set,
    terminated,
    tuning,
    tuning_snapshot,
    waiting,
)  # fmt: skip

from kaito_components.live import conditions
from kaito_components.live.snapshot import Snapshot


def test_a_ready_node_with_its_gpus_is_enough() -> None:
    assert conditions.nodes(snapshot(), goal()).ok


def test_a_node_that_is_not_ready_is_named_with_its_reason() -> None:
    check = conditions.nodes(snapshot(nodes=(node(ready="False"),)), goal())
    assert (check.ok, "node-a is not Ready: KubeletNotReady" in check.text) == (False, True)


def test_a_node_without_device_plugin_does_not_count() -> None:
    check = conditions.nodes(snapshot(nodes=(node(gpus=0),)), goal())
    assert (check.ok, "node-a offers 0 of 2 nvidia.com/gpu" in check.text) == (False, True)


def test_nodes_of_others_do_not_count() -> None:
    stranger = node()
    stranger["metadata"]["labels"] = {"apps": "llama"}
    assert not conditions.nodes(snapshot(nodes=(stranger,)), goal()).ok


def test_a_node_that_is_being_deleted_does_not_count() -> None:
    leaving = node()
    leaving["metadata"]["deletionTimestamp"] = "2026-11-23T20:00:00Z"
    assert not conditions.nodes(snapshot(nodes=(leaving,)), goal()).ok


def test_each_expected_node_is_waited_for() -> None:
    check = conditions.nodes(snapshot(), goal(expected_nodes=2))
    assert (check.ok, check.text.startswith("1 of 2 nodes with apps=phi ready")) == (False, True)


@pytest.mark.parametrize(
    "status",
    [
        {"observed": 1},
        {"updatedReplicas": 0},
        {"replicas": 2},
        {"availableReplicas": 0},
    ],
    ids=["not seen by its controller", "no new pod yet", "an old pod left", "new pod not ready"],
)
def test_a_deployment_that_is_not_rolled_out_is_not_ready(status: dict[str, int]) -> None:
    assert not conditions.workload(snapshot(workload=deployment(**status)), goal()).ok


def test_a_rolled_out_deployment_is_ready() -> None:
    assert conditions.workload(snapshot(), goal()).ok


def test_a_deployment_that_is_gone_is_not_ready() -> None:
    assert "is not there" in conditions.workload(snapshot(workload=None), goal()).text


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({}, True),
        ({"readyReplicas": 1}, False),
        ({"updatedReplicas": 1}, False),
        ({"currentRevision": "phi-old"}, False),
    ],
)
def test_a_stateful_set_is_ready_when_every_pod_of_its_newest_revision_is(
    status: dict[str, object], ready: bool
) -> None:
    found = snapshot(workload=stateful_set(**status))
    assert conditions.workload(found, goal(kind="StatefulSet", expected_nodes=2)).ok == ready


def test_only_pods_of_the_newest_replica_set_are_current() -> None:
    old, new = running_pod(owner="phi-rs9", name="old"), running_pod(owner="phi-rs10", name="new")
    found = snapshot(old, new, replica_sets=(replica_set(9), replica_set(10)))
    assert found.current_pods == (new,)


def test_no_pod_is_current_while_the_controller_has_not_seen_the_change() -> None:
    assert snapshot(workload=deployment(generation=3, observed=2)).current_pods == ()


def test_only_pods_of_the_newest_revision_of_a_stateful_set_are_current() -> None:
    old, new = running_pod(owner="phi", name="phi-0"), running_pod(owner="phi", name="phi-1")
    old["metadata"]["labels"] = {"controller-revision-hash": "phi-old"}
    new["metadata"]["labels"] = {"controller-revision-hash": "phi-new"}
    assert snapshot(old, new, workload=stateful_set()).current_pods == (new,)


def test_pods_of_a_replaced_job_are_not_current() -> None:
    assert tuning_snapshot(running_pod(owner="job-before")).current_pods == ()


def test_an_endpoint_of_an_old_pod_does_not_count() -> None:
    assert not conditions.endpoint(snapshot(endpoint_slices=(endpoint_slice("phi-rs1-y"),)), goal()).ok


def test_an_endpoint_that_is_not_ready_does_not_count() -> None:
    assert not conditions.endpoint(snapshot(endpoint_slices=(endpoint_slice(ready=False),)), goal()).ok


def test_an_endpoint_of_the_new_pod_counts() -> None:
    assert conditions.endpoint(snapshot(), goal()).ok


def test_a_job_has_started_when_its_pod_runs() -> None:
    assert conditions.started(tuning_snapshot(running_pod(owner="phi")), tuning()).ok


def test_a_job_whose_pod_has_just_ended_has_started() -> None:
    assert conditions.started(tuning_snapshot(pod(owner="phi", phase="Succeeded")), tuning()).ok


def test_a_job_has_not_started_while_an_init_container_runs() -> None:
    weights = pod(container(waiting("PodInitializing")), owner="phi", init=(container(RUNNING, "weights"),))
    check = conditions.started(tuning_snapshot(weights), tuning())
    assert (check.ok, "runs its init container weights" in check.text) == (False, True)


def test_a_job_has_not_started_when_one_of_its_containers_never_ran() -> None:
    half = pod(container(RUNNING), container(waiting("ErrImagePull"), "pusher"), owner="phi", phase="Running")
    assert not conditions.started(tuning_snapshot(half), tuning()).ok


def test_a_job_that_is_through_has_started_and_completed() -> None:
    found = tuning_snapshot(workload=job(succeeded=1, conditions=ended("Complete")))
    assert conditions.started(found, tuning()).ok and conditions.completed(found, tuning()).ok


def test_a_running_job_is_not_completed() -> None:
    check = conditions.completed(tuning_snapshot(running_pod(owner="phi")), tuning())
    assert (check.ok, check.text) == (False, "Job phi is not complete yet")


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (pod(), "is being started"),
        (pod(container(waiting("ContainerCreating"))), "gets its images and volumes"),
        (pod(container(waiting("ImagePullBackOff"))), "container inference: ImagePullBackOff"),
        (pod(container(terminated(1))), "container inference ended with exit code 1"),
        (running_pod(ready=False), "runs, but is not ready yet"),
        (pod(phase="Failed"), "failed"),
    ],
)
def test_a_pods_state_is_said_in_a_few_words(one: dict[str, object], text: str) -> None:
    assert conditions.pod_state(one) == text


def test_an_empty_cluster_is_no_error() -> None:
    assert not conditions.nodes(Snapshot(), goal()).ok and not conditions.endpoint(Snapshot(), goal()).ok
