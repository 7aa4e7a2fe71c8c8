"""The stand-in under the real Pulumi engine: a program with one pool, changed, interrupted, killed and recovered."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_cloud import Azure

from local_cloud.instance import Instance
from local_cloud.providers.azure_native import seed, unseed

RUNTIME = {"runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}}
PROGRAM = """\
import json
import os
from importlib.metadata import version

import pulumi

asked = json.loads(os.environ["ASKED"])
options = pulumi.ResourceOptions(
    version=version("pulumi-azure-native"), delete_before_replace=asked.pop("deleteBeforeReplace", None)
)
pool = pulumi.CustomResource("azure-native:containerservice:AgentPool", "gpu", asked, options)
"""


@dataclass
class Program:
    """A program with one pool; `asked` are its inputs. Call `pulumi` as often as needed."""

    folder: Path
    env: dict[str, str]
    azure: Azure
    asked: dict[str, Any]

    def pulumi(self, *arguments: str, ok: bool = True) -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder, env=self._env(), text=True, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self, ok: bool = True) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", ok=ok)

    def previewed_ops(self) -> list[str]:
        """What a preview would do to the pool, in order."""
        (log := self.folder / "events.json").unlink(missing_ok=True)
        self.pulumi("preview", "--event-log", str(log))
        events = [json.loads(line) for line in log.read_text().splitlines()]
        steps = [event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event]
        return [step["op"] for step in steps if step["urn"].endswith("::gpu")]

    def up_interrupted(self, signal_number: int) -> None:
        """`pulumi up`, hit by the signal (the whole process group) as soon as Azure has begun to make the pool."""
        process = subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
            cwd=self.folder, env=self._env(), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + 60
        while not (state := self.pool_state()).endswith("ing"):
            assert process.poll() is None and time.monotonic() < end, f"no operation began, the pool is {state!r}"
            time.sleep(0.05)
        os.killpg(process.pid, signal_number)
        process.wait(timeout=60)

    def pool_state(self) -> str:
        pools = self.azure.arm.pools(self.azure.name, self.azure.name)
        return str(pools["gpu"]["provisioningState"]) if "gpu" in pools else ""

    def deployment(self) -> dict[str, Any]:
        exported: dict[str, Any] = json.loads(self.pulumi("stack", "export"))
        return exported

    def pool_in_state(self) -> dict[str, Any]:
        resources = self.deployment()["deployment"]["resources"]
        [pool] = [resource for resource in resources if resource["type"].endswith(":AgentPool")]
        return dict(pool)

    def _env(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.env,
            "PULUMI_DEBUG_COMMANDS": "true",
            "ASKED": json.dumps(self.asked),
        }  # --event-log


@pytest.fixture
def program(cloud: Instance, tmp_path: Path) -> Iterator[Program]:
    """The program in a stack of its own, for a cluster of its own."""
    name = f"t{uuid.uuid4().hex[:10]}"
    (tmp_path / "Pulumi.yaml").write_text(json.dumps({"name": name, **RUNTIME}))
    (tmp_path / "__main__.py").write_text(PROGRAM)
    seed(cloud.folder, name, "eastus")
    asked = {"resourceGroupName": name, "resourceName": name, "agentPoolName": "gpu", "vmSize": "Standard_NC6s_v3"}
    made = Program(tmp_path, cloud.env(), Azure(cloud.folder, name), {**asked, "count": 1})
    made.pulumi("stack", "init", "dev")
    yield made
    unseed(cloud.folder, name)
    made.pulumi("stack", "rm", "--yes", "--force", "dev")


def test_a_second_preview_and_a_refresh_find_nothing_and_destroy_leaves_nothing(program: Program) -> None:
    assert "nothing is made in Azure" in program.up()
    program.pulumi("preview", "--expect-no-changes")
    program.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.pool_state() == ""


def test_another_vm_size_deletes_the_pool_first_unless_the_program_says_otherwise(program: Program) -> None:
    """Source: the engine lets the option win over the provider's answer (pkg/resource/deploy/step_generator.go)."""
    program.up()
    program.asked.update(vmSize="Standard_NC12s_v3")
    assert program.previewed_ops() == ["delete-replaced", "replace", "create-replacement"]
    program.asked.update(deleteBeforeReplace=False)
    assert program.previewed_ops() == ["create-replacement", "replace", "delete-replaced"]


def test_an_interrupted_creation_is_continued_by_the_next_up(program: Program) -> None:
    program.azure.inject(seconds=2, pool="gpu")
    program.up_interrupted(signal.SIGINT)
    assert program.pool_in_state()["initErrors"]
    program.azure.arm.wait(program.azure.pool_id())
    program.up()
    assert not program.pool_in_state().get("initErrors") and program.pool_state() == "Succeeded"


def test_a_killed_creation_is_not_repeated_and_its_record_can_be_moved_into_the_state(program: Program) -> None:
    """What the engine recorded before the kill has inputs, parent and provider: with the id it is the resource."""
    program.azure.inject(seconds=2, pool="gpu")
    program.up_interrupted(signal.SIGKILL)
    program.pulumi("cancel", "--yes")
    assert "cannot create already existing resource" in program.up(ok=False)
    exported = program.deployment()
    [pending] = exported["deployment"].pop("pending_operations")
    found = {**pending["resource"], "id": program.azure.pool_id(), "initErrors": ["interrupted while creating"]}
    exported["deployment"]["resources"].append(found)
    (program.folder / "state.json").write_text(json.dumps(exported))
    program.pulumi("stack", "import", "--file", "state.json")
    program.azure.arm.wait(program.azure.pool_id())
    program.up()
    program.pulumi("preview", "--expect-no-changes")


def test_a_killed_update_is_done_again_by_the_next_up(program: Program) -> None:
    program.up()
    program.asked["count"] = 2
    program.azure.inject(seconds=2, pool="gpu")
    program.up_interrupted(signal.SIGKILL)
    program.pulumi("cancel", "--yes")
    program.azure.arm.wait(program.azure.pool_id())
    program.up()
    assert program.azure.pool()["count"] == 2 and "pending_operations" not in program.deployment()["deployment"]
