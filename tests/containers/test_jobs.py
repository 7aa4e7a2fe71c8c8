"""Tuning Jobs in containers whose pod is killed, or whose push is refused."""

import copy
import json
import struct
from array import array
from pathlib import Path
from typing import Any

import pytest

from tests.containers.real_cluster import MODEL, Cluster, until, workspace

pytestmark = pytest.mark.timeout(900)
CONFIG = """
training_config:
  LoraConfig: {{r: 4, lora_alpha: 4}}
  TrainingArguments: {{max_steps: {steps}, save_strategy: steps, save_steps: 1, per_device_train_batch_size: 2}}
"""


def config(name: str, steps: int) -> dict[str, Any]:
    data = {"training_config.yaml": CONFIG.format(steps=steps)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def job(cluster: Cluster, name: str, settings: str, output: dict[str, Any]) -> dict[str, Any]:
    """A Workspace that tunes the small model for a few steps and serves nothing."""
    data = {"image": f"{cluster.registry}/messages:1", "imagePullSecrets": ["registry-login"]}
    part = {"preset": {"name": MODEL}, "method": "lora", "config": settings, "input": data, "output": output}
    return workspace(cluster, name, {"pulumi.kaito.sh/serve": "false"}, tuning=part)


def kept_in(folder: Path) -> dict[str, Any]:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    return {"volumeSource": {"hostPath": {"path": str(folder)}}}


def weights(folder: Path) -> dict[str, "array[float]"]:
    """The tensors of an adapter. Source: the safetensors format: length of the header, header, float32 numbers."""
    content = (folder / "adapter/adapter_model.safetensors").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, described in header.items():
        assert described["dtype"] == "F32"
        begin, end = described["data_offsets"]
        found[name] = array("f", content[8 + length + begin : 8 + length + end])
    return found


def test_a_job_whose_pod_is_killed_goes_on_from_its_checkpoint_to_the_same_adapter(
    cluster: Cluster, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    jobs = [job(cluster, folder.name, "five-steps", kept_in(folder)) for folder in (whole, killed)]
    cluster.stack(config("five-steps", 5), *jobs).up()
    until(lambda: any(killed.glob("**/checkpoint-[2-4]")))
    (first,) = pods(cluster, "killed")
    cluster.kubectl("delete", "pod", first, "--grace-period=0", "--force")
    for name in ("whole", "killed"):
        cluster.kubectl("wait", f"job/{name}", "--for=condition=Complete", "--timeout=280s")
    log = cluster.kubectl("logs", "job/killed")
    assert "checkpoint-" in log and "step 1/5" not in log
    assert pods(cluster, "killed") != [first]
    expected, resumed = weights(whole), weights(killed)
    assert expected and expected.keys() == resumed.keys()
    for name in expected:
        assert max(abs(a - b) for a, b in zip(expected[name], resumed[name], strict=True)) < 1e-5


def pods(cluster: Cluster, workspace: str) -> list[str]:
    chosen = f"kaito.sh/workspace={workspace}"
    return cluster.kubectl("get", "pods", "-l", chosen, "-o", "jsonpath={.items[*].metadata.name}").split()


def test_a_push_that_the_registry_refuses_is_said_and_goes_through_with_the_right_login(cluster: Cluster) -> None:
    wrong = copy.deepcopy(cluster.login)
    wrong["auths"][cluster.registry] = {"username": "local", "password": "wrong"}
    apply_login(cluster, wrong)
    output = {"image": f"{cluster.registry}/refused:1", "imagePushSecret": "push-login"}
    objects = [config("one-step", 1), job(cluster, "refused", "one-step", output)]
    stack = cluster.stack(*objects, wait={"until": "ready"})
    done = stack.up(check=False)
    assert done.code != 0 and "401" in done.text and "with the login of the push secret" in done.text
    apply_login(cluster, cluster.login)
    cluster.kubectl("delete", "job", "refused")
    assert stack.up("--refresh").ops["refused-job"] == "create"
    assert json.loads(cluster.kaito("status", "refused", "--format", "json"))[0]["workspaceReady"]


def apply_login(cluster: Cluster, login: dict[str, Any]) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "push-login"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps(login)},
    }
    cluster.kubectl("apply", "-f", "-", stdin=secret)
