"""The row of a Workspace, with KAITO's names for conditions and reasons, and when a wait is over."""

import json

from observed import (
    IMAGE,
    RUNNING,
    broken,
    container,
    ended,
    goal,
    job,
    node,
    pod,
    running_pod,
    snapshot,
    terminated,
    tuning,
    tuning_snapshot,
    unschedulable_pod,
    waiting,
)  # fmt: skip

from kaito_components.live.snapshot import Goal, Snapshot
from kaito_components.live.status import Done, Failed, Lasting, StatusRow, Waiting, evaluate, row


def reasons(made: StatusRow) -> dict[str, tuple[bool, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in made.conditions}


def test_a_ready_inference_workspace_is_ready_in_all_three_columns() -> None:
    made = row(snapshot(), goal())
    assert (made.resource_ready, made.inference_ready, made.workspace_ready) == (True, True, True)
    assert made.job_started is None


def test_conditions_of_a_ready_workspace_have_kaitos_names() -> None:
    assert reasons(row(snapshot(), goal())) == {
        "NodesReady": (True, "NodesReady"),
        "ResourceReady": (True, "workspaceResourceStatusSuccess"),
        "InferenceReady": (True, "WorkspaceInferenceStatusSuccess"),
        "WorkspaceSucceeded": (True, "workspaceSucceeded"),
    }


def test_without_nodes_nothing_is_ready() -> None:
    made = row(snapshot(nodes=()), goal())
    assert (made.resource_ready, made.inference_ready, made.workspace_ready) == (False, False, False)
    assert reasons(made)["ResourceReady"] == (False, "NodeNotReady")


def test_missing_gpus_are_kaitos_plugin_reason() -> None:
    assert reasons(row(snapshot(nodes=(node(gpus=0),)), goal()))["ResourceReady"] == (False, "NodePluginsNotReady")


def test_a_loading_model_is_pending() -> None:
    found = reasons(row(broken(running_pod(ready=False)), goal()))
    assert found["InferenceReady"] == (False, "WorkspaceInferenceStatusPending")
    assert found["WorkspaceSucceeded"] == (False, "workspacePending")


def test_an_image_that_cannot_be_pulled_is_kaitos_reason() -> None:
    found = broken(pod(container(waiting("ErrImagePull", f"{IMAGE}: not found"))))
    assert reasons(row(found, goal()))["InferenceReady"] == (False, "ImagePullError")


def test_of_several_causes_the_one_kaito_ranks_first_is_named() -> None:
    crash = container(waiting("CrashLoopBackOff"), "a", restarts=1, last=terminated(1))
    memory = container(waiting("CrashLoopBackOff"), "b", restarts=1, last=terminated(137, "OOMKilled"))
    assert reasons(row(broken(pod(crash, memory)), goal()))["InferenceReady"] == (False, "ContainerOOMKilled")


def test_a_running_tuning_job_has_started_and_is_not_ready() -> None:
    made = row(tuning_snapshot(running_pod(owner="phi")), tuning())
    assert (made.job_started, made.inference_ready, made.workspace_ready) == (True, None, False)
    assert reasons(made)["JobStarted"] == (True, "WorkspaceTuningJobStatusStarted")


def test_a_completed_tuning_job_makes_the_workspace_ready() -> None:
    made = row(tuning_snapshot(workload=job(succeeded=1, conditions=ended("Complete"))), tuning())
    assert (made.job_started, made.workspace_ready) == (True, True)


def test_a_failed_tuning_job_is_kaitos_failure() -> None:
    verdict = ended("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    found = reasons(row(tuning_snapshot(workload=job(conditions=verdict)), tuning()))
    assert found["JobStarted"] == (False, "WorkspaceTuningJobStatusFailed")
    assert found["WorkspaceSucceeded"] == (False, "workspaceFailed")


def test_a_message_is_no_longer_than_kaitos() -> None:
    names = [node(f"a-node-with-a-long-name-{number}", ready="False") for number in range(9)]
    made = row(snapshot(nodes=tuple(names)), goal(expected_nodes=9))
    assert max(len(condition.message) for condition in made.conditions) == 256


def test_the_row_as_output_leaves_out_what_does_not_apply() -> None:
    made = row(snapshot(), goal()).as_dict()
    assert "jobStarted" not in made and made["workerNodes"] == ["node-a"]
    assert json.loads(json.dumps(made)) == made


def outcome(found: Snapshot, wanted: Goal, *seconds: float) -> Done | Waiting | Failed:
    """What `evaluate` says at the last of these moments."""
    lasting = Lasting()
    for moment in seconds or (0.0,):
        said = evaluate(found, wanted, lasting, moment)
    return said


def test_a_wait_is_over_when_nodes_workload_and_endpoint_are_there() -> None:
    assert isinstance(outcome(snapshot(), goal()), Done)


def test_a_wait_goes_on_without_an_endpoint() -> None:
    said = outcome(snapshot(endpoint_slices=()), goal())
    assert isinstance(said, Waiting) and said.stage == "endpoint"


def test_a_wait_says_first_what_comes_first() -> None:
    said = outcome(broken(pod(), nodes=()), goal())
    assert isinstance(said, Waiting) and said.stage == "nodes"


def test_a_wait_for_a_started_job_ends_with_its_first_run() -> None:
    assert isinstance(outcome(tuning_snapshot(running_pod(owner="phi")), tuning()), Done)
    assert isinstance(outcome(tuning_snapshot(running_pod(owner="phi")), tuning(until="completed")), Waiting)


def test_a_completed_job_needs_no_nodes_any_more() -> None:
    found = Snapshot(workload=job(succeeded=1, conditions=ended("Complete")))
    assert isinstance(outcome(found, tuning()), Done) and isinstance(outcome(found, tuning(until="completed")), Done)


def test_a_trouble_ends_the_wait_only_when_it_lasts() -> None:
    found = broken(pod(container(waiting("ErrImagePull", f"{IMAGE}: not found"))))
    assert isinstance(outcome(found, goal(), 0, 19), Waiting)
    assert isinstance(outcome(found, goal(), 0, 20), Failed)


def test_a_trouble_that_passed_and_came_back_starts_anew() -> None:
    lasting, wanted = Lasting(), goal()
    failing = broken(pod(container(waiting("ErrImagePull", f"{IMAGE}: not found"))))
    for found, moment in ((failing, 0), (broken(pod(container(waiting("ContainerCreating")))), 15), (failing, 18)):
        evaluate(found, wanted, lasting, moment)
    assert isinstance(evaluate(failing, wanted, lasting, 25), Waiting)


def test_time_without_nodes_does_not_count_against_a_pod_that_waits_for_one() -> None:
    lasting, pending = Lasting(), unschedulable_pod("0/1 nodes are available: 1 node(s) had untolerated taint(s).")
    evaluate(broken(pending, nodes=()), goal(), lasting, 0)
    assert isinstance(evaluate(broken(pending), goal(), lasting, 500), Waiting)
    assert isinstance(evaluate(broken(pending), goal(), lasting, 531), Failed)


def test_a_hopeless_trouble_ends_the_wait_at_once() -> None:
    said = outcome(broken(pod(container(waiting("InvalidImageName", "bad")))), goal())
    assert isinstance(said, Failed) and said.trouble.reason == "ImagePullError"


def test_a_ready_workspace_is_done_whatever_happened_before() -> None:
    restarted = pod(container(RUNNING, restarts=5, last=terminated(1)), phase="Running", ready=True)
    assert isinstance(outcome(snapshot(restarted), goal()), Done)
