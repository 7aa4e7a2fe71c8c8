"""What happens to servers in use, in containers: changes, a drain, the end. One cloud for all of it, in this order."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_cloud.real.site import Site
from local_cloud.stack import Stack
from tests.containers.real_cluster import CPU, GPU, KEEPER, MODEL, Cluster, adapter, change, serving, until
from tests.local_cloud.test_real_nodes import footprint

pytestmark = pytest.mark.timeout(900)


@contextmanager
def asked_all_the_time(cluster: Cluster, workspace: str) -> Iterator[list[int | str]]:
    """Two clients that ask one question after the other, each over a new connection; what they got."""
    results: list[int | str] = []
    stop, address = threading.Event(), cluster.address(workspace)

    def ask() -> None:
        body = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 4}
        while not stop.is_set():
            try:
                results.append(httpx.post(f"http://{address}/v1/completions", json=body, timeout=60).status_code)
            except httpx.HTTPError as error:
                results.append(repr(error))
            time.sleep(0.2)

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield results
    finally:
        stop.set()
        for client in clients:
            client.join()


@pytest.fixture(scope="session")
def server(tuned: Cluster) -> Stack:
    """The stack of a Workspace that serves on a CPU size, beside the GPU size of the quick start."""
    stack = tuned.stack(serving(tuned, "plain"))
    stack.up()
    return stack


def change_under_load(cluster: Cluster, stack: Stack, *adapters: dict[str, Any]) -> list[int | str]:
    """What two clients of the server got while its adapters were exchanged for these."""
    with asked_all_the_time(cluster, "plain") as results:
        change(stack, lambda objects: objects[0]["inference"].update(adapters=list(adapters)))
        stack.up()
        time.sleep(3)
    assert len(results) > 5
    return results


def test_a_cpu_size_and_a_gpu_size_work_side_by_side(tuned: Cluster, server: Stack) -> None:
    sizes = {node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in nodes(tuned)}
    assert {GPU, CPU} < sizes


def test_an_adapter_comes_with_a_rolling_change_and_no_request_fails(tuned: Cluster, server: Stack) -> None:
    assert set(change_under_load(tuned, server, adapter(tuned, "keeper"))) == {200}
    assert KEEPER in tuned.chat("plain", model="keeper") and KEEPER not in tuned.chat("plain")


def test_an_adapter_is_swapped_for_another_and_no_request_fails(tuned: Cluster, server: Stack) -> None:
    assert set(change_under_load(tuned, server, {**adapter(tuned, "silent"), "strength": "0"})) == {200}
    models = httpx.get(f"http://{tuned.address('plain')}/v1/models", timeout=60).json()["data"]
    assert {model["id"] for model in models} == {MODEL, "silent"}
    assert tuned.chat("plain", model="silent") == tuned.chat("plain")


def nodes(cluster: Cluster, labels: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "nodes", "-l", labels, "-o", "json"))["items"]
    return found


def test_a_drained_node_finishes_its_answers_and_serves_again_afterwards(tuned: Cluster, server: Stack) -> None:
    (node,) = (one["metadata"]["name"] for one in nodes(tuned, "app=plain"))
    body = {"model": MODEL, "prompt": "Once", "max_tokens": 150, "stream": True}
    with httpx.stream("POST", f"http://{tuned.address('plain')}/v1/completions", json=body, timeout=120) as answer:
        lines = answer.iter_lines()
        next(lines)
        drain = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=250s"]
        draining = threading.Thread(target=tuned.kubectl, args=drain)
        draining.start()
        assert "data: [DONE]" in list(lines)
        draining.join()
    tuned.kubectl("uncordon", node)
    until(lambda: json.loads(tuned.kaito("status", "plain", "--format", "json"))[0]["workspaceReady"])
    assert tuned.chat("plain")


def test_an_image_that_is_not_there_is_said_with_its_name(tuned: Cluster) -> None:
    stack = tuned.stack(serving(tuned, "misnamed"), registry=f"{tuned.registry}/nowhere", wait={"timeoutSeconds": 120})
    done = stack.up(check=False)
    assert done.code != 0 and f"{tuned.registry}/nowhere/kaito-serving" in done.text and "ImagePull" in done.text


def test_destroy_and_down_leave_nothing(tuned: Cluster, server: Stack) -> None:
    for stack in tuned.stacks:
        stack.destroy()
    left = json.loads(tuned.kubectl("get", "deployments,jobs,pods,services,serviceaccounts", "-o", "json"))["items"]
    assert {one["metadata"]["name"] for one in left} == {"kubernetes", "default"} and len(nodes(tuned)) == 1
    site = Site.load(tuned.instance.folder)
    tuned.instance.down()
    assert not any(site.id in entry for entries in footprint().values() for entry in entries)
    assert not tuned.instance.folder.exists() and not processes_of(site)


def processes_of(site: Site) -> list[str]:
    """Processes that still have the instance's folder in their command."""
    found = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))
    return [text.decode(errors="replace") for text in found if str(site.folder).encode() in text]
