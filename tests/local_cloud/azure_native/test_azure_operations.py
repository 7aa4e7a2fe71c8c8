"""Operations that take time, fail, and outlive whoever asked for them."""

import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from azure_cloud import Azure

from local_cloud.providers.azure_native import Arm, ArmError
from local_cloud.providers.azure_native.arm import Interrupted
from local_cloud.providers.azure_native.ids import SUBSCRIPTION, ResourceId


def test_an_operation_takes_the_time_that_is_set(azure: Azure) -> None:
    azure.arm.configure(operationSeconds=0.4)
    started = time.monotonic()
    azure.begin()
    assert azure.pool()["provisioningState"] == "Creating"
    azure.arm.wait(azure.pool_id())
    assert 0.4 <= time.monotonic() - started < 1.5 and azure.pool()["provisioningState"] == "Succeeded"


def test_an_operation_ends_by_itself_when_nobody_waits(azure: Azure) -> None:
    azure.arm.configure(operationSeconds=0.2)
    azure.begin()
    time.sleep(0.25)
    assert azure.pool()["provisioningState"] == "Succeeded"


def test_a_second_operation_on_the_cluster_is_a_conflict(azure: Azure) -> None:
    """Source of the words: cilium/cilium#25944."""
    azure.put("old")
    azure.arm.configure(operationSeconds=30)
    azure.begin("gpu")
    for begin in (
        lambda: azure.begin("two"),
        lambda: azure.begin("gpu"),
        lambda: azure.arm.delete(azure.pool_id("old")),
    ):
        with pytest.raises(ArmError) as refused:
            begin()
        assert (refused.value.status, refused.value.code) == (409, "OperationNotAllowed")
        assert "Another agentpool operation (gpu - Creating) is in progress" in refused.value.message


def test_another_cluster_is_not_in_the_way(azure: Azure) -> None:
    azure.arm.configure(operationSeconds=30)
    azure.begin("gpu")
    azure.arm.configure(operationSeconds=0)
    other = ResourceId(SUBSCRIPTION, "test", "other")
    profiles = [{"name": "system", "vmSize": "Standard_D4s_v5", "mode": "System"}]
    azure.arm.put(str(other), {"location": "eastus", "properties": {"agentPoolProfiles": profiles}})


def test_a_deleted_pool_is_there_until_the_operation_ends(azure: Azure) -> None:
    azure.put()
    azure.arm.inject(seconds=0.3, pool="gpu", operation="delete")
    azure.arm.delete(azure.pool_id())
    assert azure.pool()["provisioningState"] == "Deleting"
    azure.arm.wait(azure.pool_id())
    assert "gpu" not in azure.arm.pools("test", "test")


def test_an_operation_that_fails_late_leaves_a_failed_pool_that_can_be_repaired(azure: Azure) -> None:
    azure.arm.inject("AllocationFailed", pool="gpu", when="end")
    with pytest.raises(ArmError, match='Code="AllocationFailed" Message="We do not have sufficient capacity'):
        azure.put()
    assert azure.pool()["provisioningState"] == "Failed"
    assert azure.put()["provisioningState"] == "Succeeded"


def test_a_fault_strikes_as_often_as_it_says_and_what_it_matches(azure: Azure) -> None:
    azure.arm.inject("SkuNotAvailable", pool="gpu*", cluster="test", operation="create", times=2, message="sold out")
    azure.put("cpu", vmSize="Standard_D4s_v5")
    for _ in range(2):
        with pytest.raises(ArmError, match='Status=409 Code="SkuNotAvailable" Message="sold out"'):
            azure.begin("gpu1")
    assert azure.put("gpu1")


def test_waiting_can_be_given_up_and_has_an_end(azure: Azure) -> None:
    azure.arm.configure(operationSeconds=30)
    azure.begin()
    interrupted = threading.Event()
    interrupted.set()
    with pytest.raises(Interrupted):
        azure.arm.wait(azure.pool_id(), interrupted)
    with pytest.raises(TimeoutError, match="operation timed out"):
        azure.arm.wait(azure.pool_id(), timeout_seconds=0.05)


def _make_groups(folder: Path, start: Any, number: int) -> None:
    start.wait()
    for index in range(5):
        Arm(folder).put(str(ResourceId(SUBSCRIPTION, f"group-{number}-{index}")), {"location": "eastus"})


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Event()
    processes = [spawn.Process(target=_make_groups, args=(tmp_path, start, number)) for number in range(3)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(timeout=60)
    names = [str(ResourceId(SUBSCRIPTION, f"group-{number}-{index}")) for number in range(3) for index in range(5)]
    assert [Arm(tmp_path).get(name)["id"] for name in names] == names
