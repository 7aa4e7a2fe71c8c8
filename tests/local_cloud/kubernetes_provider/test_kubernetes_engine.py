"""The stand-in for kubernetes under the real engine, with a program of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cloud.instance import Instance
from local_cloud.nodes import core_api
from local_cloud.stack import PROJECT, Stack

PROGRAM = """
import pulumi
config = pulumi.Config("k")
settings = {"kubeconfig": config.require("kubeconfig"), **(config.get_object("settings") or {})}
provider = pulumi.ProviderResource("kubernetes", "p", settings)
for name, one in config.require_object("objects").items():
    api, kind = one["apiVersion"], one["kind"]
    token = f"kubernetes:{api if '/' in api else 'core/' + api}:{kind}"
    pulumi.CustomResource(token, name, one, pulumi.ResourceOptions(provider=provider))
"""


@pytest.fixture
def stack(cloud: Instance, tmp_path: Path) -> Iterator[Stack]:
    """A program that declares the objects of its configuration, as they are."""
    runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": str(PROJECT / ".venv")}}
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "k", "runtime": runtime}))
    (tmp_path / "__main__.py").write_text(PROGRAM)
    made = Stack(cloud.env(), tmp_path, {"k:kubeconfig": str(cloud.kubeconfig), "k:objects": {}}, project=tmp_path)
    yield made
    made.remove()


def config_map(namespace: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace}, "data": data}


def test_an_object_without_a_name_gets_one_and_keeps_it(stack: Stack, cloud: Instance, namespace: str) -> None:
    stack.config["k:objects"] = {"settings": config_map(namespace, a="1")}
    stack.up()
    with core_api(cloud.kubeconfig) as api:
        (name,) = [
            n for m in api.list_namespaced_config_map(namespace).items if (n := m.metadata.name)[:9] == "settings-"
        ]
    assert len(name) == len("settings-") + 8
    assert stack.preview("--expect-no-changes").ops == {}


def test_what_the_api_server_refuses_fails_the_preview(stack: Stack, namespace: str) -> None:
    stack.config["k:objects"] = {
        "bad": {**config_map(namespace), "metadata": {"name": "Bad_Name", "namespace": namespace}}
    }
    refused = stack.preview(check=False)
    assert refused.code != 0 and "Bad_Name" in refused.text


def test_an_object_that_is_there_already_is_not_taken_over_unless_asked(
    stack: Stack, cloud: Instance, namespace: str
) -> None:
    with core_api(cloud.kubeconfig) as api:
        api.create_namespaced_config_map(namespace, {"metadata": {"name": "mine"}, "data": {"a": "0"}})
    named = {**config_map(namespace, a="1"), "metadata": {"name": "mine", "namespace": namespace}}
    stack.config["k:objects"] = {"mine": named}
    refused = stack.up(check=False)
    assert refused.code != 0 and "already exists" in refused.text
    stack.config["k:settings"] = {"upsertExistingObjects": "true"}
    conflict = stack.up(check=False)
    assert conflict.code != 0 and "conflict" in conflict.text  # a field that somebody else manages
    stack.config["k:settings"] |= {"enablePatchForce": "true"}
    stack.up()


def test_a_job_is_waited_for_and_its_failure_is_said(stack: Stack, namespace: str) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "example.com/c:1"}]}
    named = {"name": "j", "namespace": namespace}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": named,
        "spec": {"activeDeadlineSeconds": 1, "template": {"spec": pod}},
    }
    stack.config["k:objects"] = {"job": job}
    refused = stack.up(check=False)
    assert refused.code != 0 and "DeadlineExceeded" in refused.text
    assert stack.resources()["kubernetes:batch/v1:Job"] == 1  # recorded, with what is wrong with it


def test_an_unknown_setting_of_the_provider_is_named(stack: Stack, namespace: str) -> None:
    stack.config |= {"k:settings": {"renderYamlToDirectory": "x"}, "k:objects": {"c": config_map(namespace)}}
    refused = stack.preview(check=False)
    assert refused.code != 0 and "renderYamlToDirectory" in refused.text
