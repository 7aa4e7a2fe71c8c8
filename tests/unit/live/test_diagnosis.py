"""Every trouble is recognised from what kubelet, scheduler and controllers write, and said with a way out."""

import pytest
from observed import (
    RUNNING,
    broken,
    container,
    deployment,
    ended,
    event,
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
    unschedulable_pod,
    waiting,
)  # fmt: skip

from kaito_components.live.diagnosis import Trouble, troubles
from kaito_components.live.snapshot import Snapshot

RESOLVE = 'rpc error: code = NotFound desc = failed to pull and unpack image "{0}": failed to resolve reference "{0}": '
IMAGE = "example.azurecr.io/model:1"


def only(found: Snapshot, **wanted: object) -> Trouble:
    """The one trouble of an inference Workspace."""
    (trouble,) = troubles(found, goal(**wanted))
    return trouble


def of_job(found: Snapshot) -> Trouble:
    (trouble,) = troubles(found, tuning())
    return trouble


def pull_error(words: str, reason: str = "ErrImagePull") -> Snapshot:
    return broken(pod(container(waiting(reason, words))))


def test_a_healthy_workspace_has_no_troubles() -> None:
    assert troubles(snapshot(), goal()) == []


def test_a_pod_that_gets_its_image_is_no_trouble() -> None:
    assert troubles(broken(pod(container(waiting("ContainerCreating")))), goal()) == []


def test_an_image_that_is_not_there_is_named_with_what_the_registry_said() -> None:
    trouble = only(pull_error(RESOLVE.format(IMAGE) + f"{IMAGE}: not found"))
    assert (trouble.object, trouble.reason, trouble.terminal) == ("Pod models/phi-rs2-x", "ImagePullError", True)
    assert (
        trouble.message == f'image "{IMAGE}" of container inference: the registry does not have it: {IMAGE}: not found'
    )


def test_an_image_behind_a_login_asks_for_a_pull_secret() -> None:
    words = RESOLVE.format(IMAGE) + "failed to authorize: failed to fetch anonymous token: 401 Unauthorized"
    trouble = only(pull_error(words))
    assert "gives no access" in trouble.message and "pull secret" in trouble.way_out


def test_a_registry_that_does_not_answer_gets_more_time_than_one_that_refuses() -> None:
    slow = only(pull_error("dial tcp 20.1.2.3:443: i/o timeout", "ImagePullBackOff"))
    refusing = only(pull_error("pull access denied"))
    assert slow.grace_seconds and refusing.grace_seconds and slow.grace_seconds > 2 * refusing.grace_seconds


def test_pulling_and_backing_off_in_turn_is_one_lasting_trouble() -> None:
    words = RESOLVE.format(IMAGE) + f"{IMAGE}: not found"
    back_off = f'Back-off pulling image "{IMAGE}": ErrImagePull: {words}'
    assert only(pull_error(words)) == only(pull_error(back_off, "ImagePullBackOff"))


def test_an_older_kubelets_back_off_is_explained_by_the_event() -> None:
    failed = event("phi-rs2-x", "Failed", f'Failed to pull image "{IMAGE}": not found')
    back_off = pod(container(waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')))
    assert "not found" in only(broken(back_off, events=(failed,))).message


def test_an_image_name_that_cannot_be_one_ends_the_wait_at_once() -> None:
    assert only(pull_error("couldn't parse image name", "InvalidImageName")).grace_seconds == 0


def test_a_missing_secret_is_named() -> None:
    trouble = only(broken(pod(container(waiting("CreateContainerConfigError", 'secret "hf-token" not found')))))
    assert (trouble.reason, 'secret "hf-token" not found' in trouble.message) == ("ContainerStartError", True)
    assert trouble.way_out.startswith("Create it in namespace models")


def crashing(restarts: int, last: dict[str, object], **more: object) -> Snapshot:
    state = waiting("CrashLoopBackOff", "back-off 40s restarting failed container=inference pod=phi-rs2-x_models(1)")
    return broken(pod(container(state, restarts=restarts, last=last), phase="Running", **more))  # type: ignore[arg-type]


def test_a_container_that_crashed_once_may_recover() -> None:
    assert not only(crashing(1, terminated(1))).terminal


def test_a_container_that_crashed_after_three_restarts_will_not() -> None:
    trouble = only(crashing(3, terminated(1)))
    assert (trouble.reason, trouble.grace_seconds) == ("ContainerCrashLoopBackOff", 0)
    assert "container inference ended with exit code 1, 3 restarts" in str(trouble)


def test_the_last_words_of_a_crash_are_in_the_log_of_the_run_before() -> None:
    assert only(crashing(3, terminated(1))).last_words == ("phi-rs2-x", "inference", True)


def test_memory_that_was_used_up_twice_is_not_tried_again() -> None:
    trouble = only(crashing(1, terminated(137, "OOMKilled"), memory="16Gi"))
    assert (trouble.reason, trouble.grace_seconds) == ("ContainerOOMKilled", 0)
    assert "memory limit is 16Gi" in trouble.message


def test_memory_without_a_limit_is_the_nodes() -> None:
    assert "no memory limit" in only(crashing(1, terminated(137, "OOMKilled"))).message


def test_a_failing_init_container_is_called_one() -> None:
    state = container(waiting("CrashLoopBackOff"), "weights", restarts=3, last=terminated(1))
    trouble = only(broken(pod(container(waiting("PodInitializing")), init=(state,))))
    assert "init container weights ended with exit code 1" in trouble.message
    assert trouble.last_words == ("phi-rs2-x", "weights", True)


def test_pods_of_the_old_template_are_nobodys_trouble() -> None:
    old = pod(container(waiting("CrashLoopBackOff"), restarts=9, last=terminated(1)), owner="phi-rs1", name="old")
    found = snapshot(old, running_pod(), replica_sets=(replica_set(1), replica_set(2)))
    assert troubles(found, goal()) == []


GPUS_TAKEN = (
    "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) didn't match Pod's node affinity/selector. "
    "no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)


def test_a_pod_without_a_node_is_normal_while_nodes_join() -> None:
    found = troubles(broken(unschedulable_pod(GPUS_TAKEN), nodes=()), goal())
    assert next(trouble for trouble in found if trouble.reason == "Unschedulable").terminal is False


def test_a_pod_without_a_node_is_said_with_the_schedulers_words_once_the_nodes_are_there() -> None:
    trouble = only(broken(unschedulable_pod(GPUS_TAKEN)))
    assert (trouble.reason, trouble.terminal) == ("Unschedulable", True)
    assert "1 Insufficient nvidia.com/gpu" in trouble.message and "preemption" not in trouble.message
    assert "kubectl describe nodes -l apps=phi" in trouble.way_out


def test_a_pod_without_a_node_may_wait_for_the_gpus_of_one_that_is_leaving() -> None:
    leaving = running_pod(owner="phi-rs1", name="old")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-23T20:02:00Z"
    assert not only(broken(unschedulable_pod(GPUS_TAKEN), leaving)).terminal


def test_where_the_pool_may_grow_a_pod_may_wait_as_long_as_a_node_takes_to_join() -> None:
    usual, growing = (only(broken(unschedulable_pod(GPUS_TAKEN)), may_grow=grows) for grows in (False, True))
    assert growing.grace_seconds and usual.grace_seconds and growing.grace_seconds > 10 * usual.grace_seconds
    assert "The pool grows for it" in growing.way_out


def test_a_server_that_gave_its_gpus_to_the_job_says_so() -> None:
    found = broken(unschedulable_pod(GPUS_TAKEN))
    assert found.workload
    found.workload["metadata"]["annotations"] = {"pulumi.kaito.sh/scaled-by": "Job phi"}
    assert only(found).way_out == "Job phi may hold what it needs: it serves what the Job tunes when that is through"


def test_a_claim_that_is_not_there_is_named() -> None:
    words = '0/3 nodes are available: persistentvolumeclaim "weights" not found.'
    trouble = only(broken(unschedulable_pod(words)))
    assert (trouble.reason, trouble.terminal, 'claim "weights" not found' in trouble.message) == (
        "VolumeNotBound",
        True,
        True,
    )


def test_a_claim_without_volume_is_explained_by_its_events() -> None:
    volume = {"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}
    words = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    why = event("weights", "ProvisioningFailed", 'storageclass "fast" not found', kind="PersistentVolumeClaim")
    trouble = only(broken(unschedulable_pod(words, volumes=[volume]), events=(why,)))
    assert 'storageclass "fast" not found' in trouble.message


def test_a_volume_whose_secret_is_missing_is_said_from_the_event() -> None:
    words = 'MountVolume.SetUp failed for volume "login" : secret "acr-push" not found'
    creating = pod(container(waiting("ContainerCreating")))
    trouble = only(broken(creating, events=(event("phi-rs2-x", "FailedMount", words),)))
    assert (trouble.reason, trouble.terminal, 'secret "acr-push" not found' in trouble.message) == (
        "VolumeNotMounted",
        True,
        True,
    )


def test_a_mount_that_failed_before_the_container_ran_is_history() -> None:
    past = event("phi-rs2-x", "FailedMount", 'secret "acr-push" not found')
    assert troubles(broken(running_pod(ready=False), events=(past,)), goal()) == []


def test_a_readiness_probe_that_fails_is_told_but_may_succeed_yet() -> None:
    unhealthy = event("phi-rs2-x", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    trouble = only(broken(running_pod(ready=False), events=(unhealthy,)))
    assert (trouble.reason, trouble.terminal, "503" in trouble.message) == ("ContainerNotReady", False, True)


def test_the_newest_event_speaks() -> None:
    old = event("phi-rs2-x", "Unhealthy", "connection refused", at="2026-11-23T20:01:00Z")
    new = event("phi-rs2-x", "Unhealthy", "statuscode: 503", at="2026-11-23T20:03:00Z")
    assert only(broken(running_pod(ready=False), events=(old, new))).message == "statuscode: 503"


QUOTA = 'pods "phi-rs2-x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=2, used: 6, limited: 6'


def test_a_quota_that_is_used_up_is_said_by_the_deployment() -> None:
    failing = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}]
    workload = deployment(updatedReplicas=0, availableReplicas=0, conditions=failing)
    trouble = only(snapshot(workload=workload, pods=()))
    assert (trouble.object, trouble.reason, trouble.terminal) == ("Deployment models/phi", "QuotaExceeded", True)
    assert "exceeded quota: gpus" in trouble.message and "resourcequota -n models" in trouble.way_out


@pytest.mark.parametrize("kind", ["StatefulSet", "Job"])
def test_a_quota_that_is_used_up_is_said_by_an_event_of_the_others(kind: str) -> None:
    workload = stateful_set(readyReplicas=0) if kind == "StatefulSet" else job()
    found = Snapshot(workload=workload, nodes=(node(),), events=(event("phi", "FailedCreate", QUOTA, kind=kind),))
    (trouble,) = troubles(found, goal(kind=kind))
    assert trouble.reason == "QuotaExceeded"


def test_a_refusal_of_the_past_is_forgotten_when_the_pods_are_there() -> None:
    past = event("phi", "FailedCreate", QUOTA, kind="Job")
    assert troubles(tuning_snapshot(running_pod(owner="phi"), events=(past,)), tuning()) == []


def test_a_pod_that_a_policy_refuses_is_told_from_a_quota() -> None:
    words = 'admission webhook "validate.policy" denied the request: images must come from example.com'
    failing = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}]
    assert only(snapshot(workload=deployment(conditions=failing), pods=())).reason == "PodRefused"


def test_a_workload_that_is_gone_gets_a_moment_to_appear() -> None:
    trouble = only(snapshot(workload=None, pods=()))
    assert (trouble.reason, trouble.grace_seconds) == ("WorkloadMissing", 10)


def failed_pod(code: int, reason: str = "Error", name: str = "phi-1") -> dict[str, object]:
    end = container(terminated(code, reason), "tuning")
    return pod(end, owner="phi", name=name, phase="Failed", memory="100Gi")


def test_a_job_whose_first_pod_failed_tries_again() -> None:
    assert not of_job(tuning_snapshot(failed_pod(1))).terminal


def test_a_job_out_of_retries_says_how_its_last_pod_ended() -> None:
    verdict = ended("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    trouble = of_job(tuning_snapshot(failed_pod(1), workload=job(failed=1, conditions=verdict)))
    assert (trouble.object, trouble.reason, trouble.grace_seconds) == ("Job models/phi", "JobFailed", 0)
    assert "BackoffLimitExceeded" in trouble.message and "container tuning ended with exit code 1" in trouble.message
    assert trouble.last_words == ("phi-1", "tuning", False)


def test_a_job_that_its_failure_policy_ended_says_that_a_retry_would_fail_the_same_way() -> None:
    words = "Container tuning for pod models/phi-1 failed with exit code 42 matching FailJob rule at index 0"
    verdict = ended("FailureTarget", "PodFailurePolicy", words)
    trouble = of_job(tuning_snapshot(failed_pod(42), workload=job(conditions=verdict)))
    assert (trouble.grace_seconds, "a retry would fail the same way" in trouble.way_out) == (0, True)


def test_a_job_that_used_up_its_memory_says_its_limit() -> None:
    verdict = ended("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    trouble = of_job(tuning_snapshot(failed_pod(137, "OOMKilled"), workload=job(conditions=verdict)))
    assert (trouble.reason, "100Gi" in trouble.message) == ("ContainerOOMKilled", True)


def test_a_failed_job_without_pods_still_says_why() -> None:
    verdict = ended("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
    assert "DeadlineExceeded" in of_job(tuning_snapshot(workload=job(conditions=verdict))).message


def test_a_job_whose_third_pod_failed_is_not_waited_for() -> None:
    pods = [failed_pod(1, name=f"phi-{number}") for number in range(3)]
    assert of_job(tuning_snapshot(*pods)).terminal
    assert not of_job(tuning_snapshot(*pods, running_pod(owner="phi", name="phi-4"))).terminal


def test_pods_that_are_evicted_again_and_again_are_counted() -> None:
    words = "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 1Gi."
    gone = [pod(name=f"gone-{number}", phase="Failed", reason="Evicted", message=words) for number in range(2)]
    once, twice = only(broken(gone[0])), only(broken(*gone))
    assert (once.reason, once.terminal, twice.terminal) == ("PodEvicted", False, True)
    assert "ephemeral-storage" in twice.message


def test_a_node_that_never_joins_is_told_from_one_that_is_not_ready() -> None:
    never = only(snapshot(nodes=()))
    late = only(snapshot(nodes=(node(ready="False"),)))
    assert (never.object, late.object) == ("Nodes with apps=phi", "Node node-a")
    assert "cni plugin not initialized" in late.message
    assert never.terminal and late.terminal


def test_a_node_without_gpus_points_to_the_device_plugin() -> None:
    trouble = only(snapshot(nodes=(node(gpus=0),)))
    assert (trouble.reason, "device plugin" in trouble.way_out) == ("NodePluginsNotReady", True)


def test_a_spare_node_that_is_not_ready_is_no_trouble() -> None:
    assert troubles(snapshot(nodes=(node(), node("node-b", ready="False"))), goal()) == []


def test_disk_pressure_is_told() -> None:
    trouble = only(snapshot(nodes=(node(DiskPressure="True"),)))
    assert (trouble.reason, trouble.terminal) == ("NodeDiskPressure", False)


def test_what_ends_the_wait_comes_before_what_may_pass() -> None:
    failing = pod(container(waiting("InvalidImageName", "bad")), name="b")
    starting = pod(container(waiting("CrashLoopBackOff"), restarts=0, last=terminated(1)), name="a")
    found = troubles(broken(starting, failing), goal())
    assert [trouble.terminal for trouble in found] == [True, False]


def test_a_message_from_elsewhere_is_one_short_line() -> None:
    trouble = only(pull_error("first\nsecond " + "x" * 1000))
    assert "\n" not in str(trouble) and len(str(trouble)) < 500


def test_a_container_that_runs_again_is_no_trouble() -> None:
    again = pod(container(RUNNING, restarts=2, last=terminated(1)), phase="Running")
    assert troubles(broken(again), goal()) == []
