"""What must hold when things go wrong during `pulumi up`, on the real engine and a real API server."""

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.instance import Instance
from local_cloud.nodes import core_api
from local_cloud.stack import Stack, kill
from tests.engine.conftest import Azure
from tests.engine.workspaces import inference, template, tuning

MakeStack = Callable[..., Stack]
Pods = Callable[[], list[Any]]


def wait_for_text(process: subprocess.Popen[str], text: str) -> None:
    """Reads the screen of a running `pulumi up` until `text` shows up."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"pulumi ended without {text!r}")


def jobs(cloud: Instance, namespace: str) -> int:
    with core_api(cloud.kubeconfig) as api:
        return len({pod.metadata.labels.get("job-name") for pod in api.list_namespaced_pod(namespace).items})


@pytest.mark.parametrize("moment", ["tune-pool creating", "tune-pool created", "tune-job", "tune-ready creating"])
def test_up_converges_after_a_kill_with_one_pool_and_one_job(
    make_stack: MakeStack, azure: Azure, cloud: Instance, namespace: str, moment: str
) -> None:
    azure.arm.configure(operationSeconds=1.0)
    stack = make_stack(tuning())
    process = stack.start_up()
    wait_for_text(process, moment)
    kill(process)
    stack.unlock()
    time.sleep(1.5)  # Azure ends the operation that the dead client began
    stack.up()
    assert len(azure.pools) == 1 and jobs(cloud, namespace) == 1
    assert stack.preview("--expect-no-changes").ops == {}


def test_up_converges_after_an_interrupt(make_stack: MakeStack, azure: Azure) -> None:
    azure.arm.configure(operationSeconds=1.0)
    stack = make_stack(tuning())
    process = stack.start_up()
    wait_for_text(process, "tune-pool creating")
    kill(process, signal.SIGINT)
    time.sleep(1.5)
    stack.up()
    assert len(azure.pools) == 1 and stack.preview("--expect-no-changes").ops == {}


def test_two_workspaces_at_once_never_meet_in_azure(make_stack: MakeStack, azure: Azure) -> None:
    stack = make_stack(inference("a"), inference("b"), inference("c"))
    assert "OperationNotAllowed" not in stack.up().text
    assert len(azure.pools) == 3


def test_a_second_writer_is_told_that_the_stack_is_locked(make_stack: MakeStack, azure: Azure) -> None:
    azure.arm.configure(operationSeconds=3.0)
    stack = make_stack(tuning())
    first = stack.start_up()
    wait_for_text(first, "tune-pool creating")
    second = stack.up(check=False)
    assert second.code != 0 and "lock" in second.text
    first.communicate(timeout=120)
    assert first.returncode == 0


def test_a_pool_refused_for_quota_is_said_and_mended(make_stack: MakeStack, azure: Azure) -> None:
    regions = {"local": {"quota": {"StandardNCADSA100v4Family": 0, "standardNCADSA100v4Family": 0}}}
    azure.arm.configure(regions=regions)
    stack = make_stack(inference())
    refused = stack.up(check=False)
    assert refused.code != 0 and "quota" in refused.text.lower()
    azure.arm.configure(regions={"local": {}})
    stack.up()
    assert len(azure.pools) == 1


def test_a_workspace_whose_image_never_came_is_explained_and_deleted(
    make_stack: MakeStack, azure: Azure, pods: Pods
) -> None:
    stack = make_stack(template("web", "ImagePullBackOff"))
    refused = stack.up(check=False)
    assert refused.code != 0 and "r.example.com/server:1" in refused.text
    stack.destroy()
    assert azure.pools == set() and pods() == []


def test_the_third_of_six_resources_fails_and_is_mended(
    make_stack: MakeStack, cloud: Instance, namespace: str, azure: Azure
) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"services": "0"}}}
    with core_api(cloud.kubeconfig) as api:
        api.create_namespaced_resource_quota(namespace, quota)
        time.sleep(0.5)
        stack = make_stack(inference())
        refused = stack.up(check=False)
        assert refused.code != 0 and "exceeded quota" in refused.text
        api.delete_namespaced_resource_quota("none", namespace)
    stack.up()
    assert stack.preview("--expect-no-changes").ops == {} and len(azure.pools) == 1
