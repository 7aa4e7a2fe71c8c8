"""`kaito status` as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from live_workspace import LiveWorkspace

from local_cloud.instance import Instance

MakeWorkspace = Callable[..., LiveWorkspace]
COMMAND = [sys.executable, "-u", "-m", "kaito_components.cli", "status"]


class Status:
    """The command in the test's cloud and namespace."""

    def __init__(self, cloud: Instance, namespace: str) -> None:
        self.env = {**os.environ, "KUBECONFIG": str(cloud.kubeconfig)}
        self.namespace = namespace

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *(options if "-A" in options else ("-n", self.namespace, *options))]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)

    def watch(self, *options: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "-n", self.namespace, "-w", *options]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def status(cloud: Instance, namespace: str) -> Status:
    return Status(cloud, namespace)


def test_a_ready_workspace_is_a_row_of_true(make_workspace: MakeWorkspace, status: Status) -> None:
    workspace = make_workspace().bring_up()
    header, line = status.run().stdout.splitlines()
    assert header.split() == ["NAME", "INSTANCE", "RESOURCEREADY", "INFERENCEREADY", "WORKSPACEREADY", "AGE"]
    assert line.split()[:-1] == [workspace.name, "Standard_NC12s_v3", "True", "True", "True"]


def test_a_running_tuning_job_has_a_column_of_its_own(make_workspace: MakeWorkspace, status: Status) -> None:
    make_workspace("Job").bring_up()
    header, line = (text.split() for text in status.run().stdout.splitlines())
    assert dict(zip(header, line, strict=True))["JOBSTARTED"] == "True"


def test_how_far_a_tuning_job_is_stands_below_the_table(make_workspace: MakeWorkspace, status: Status) -> None:
    workspace = make_workspace("Job").bring_up(container="says-progress")
    said = "step 40/1200 (3 %), loss 1.8312, 2316 tokens/s, 123m left"
    assert status.run().stdout.splitlines()[2:] == [f"{workspace.name}: {said}"]
    (one,) = json.loads(status.run("--format", "json").stdout)
    figures = {"step": 40, "steps": 1200, "loss": 1.8312, "tokensPerSecond": 2316, "secondsLeft": 7384}
    assert one["progress"] == figures


@pytest.mark.parametrize("options", [[], ["--format", "json"]])
def test_watching_tells_how_far_a_tuning_job_is(
    make_workspace: MakeWorkspace, status: Status, options: list[str]
) -> None:
    workspace = make_workspace("Job").bring_up(container="says-progress")
    watching = status.watch(*options)
    assert watching.stdout is not None
    said = next(line for line in watching.stdout if "1200" in line)
    assert said.startswith(f"{workspace.name}: step 40/1200") or json.loads(said)["progress"]["steps"] == 1200
    watching.terminate()
    watching.communicate(timeout=10)


def test_a_failed_tuning_job_is_shown_with_the_end_of_its_log(make_workspace: MakeWorkspace, status: Status) -> None:
    workspace = make_workspace("Job")
    workspace.add_node()
    workspace.make("CrashLoopBackOff", {"backoffLimit": 0})
    for _ in range(20):
        if "BackoffLimitExceeded" in (said := status.run().stdout):
            break
    _, _, trouble, *log = said.splitlines()
    assert "JobFailed: BackoffLimitExceeded" in trouble and "ended with exit code 1" in trouble
    assert log == ["  | This container is simulated: no program runs in it."]


def test_a_trouble_is_a_line_below_the_table(make_workspace: MakeWorkspace, status: Status) -> None:
    workspace = make_workspace()
    workspace.make()
    found = status.run()
    _, line, trouble = found.stdout.splitlines()[:3]
    assert (line.split()[2:5], found.returncode) == (["False"] * 3, 0)
    assert trouble.startswith(f"{workspace.name}: ") and f"apps={workspace.name}" in trouble


def test_json_is_a_list_with_conditions_and_reasons(make_workspace: MakeWorkspace, status: Status) -> None:
    workspace = make_workspace()
    workspace.make()
    (one,) = json.loads(status.run("--format", "json", workspace.name).stdout)
    reasons = {condition["type"]: condition["reason"] for condition in one["conditions"]}
    assert (one["name"], one["resourceReady"], reasons["ResourceReady"]) == (workspace.name, False, "NodeNotReady")


def test_all_namespaces_name_each_workspaces_own(make_workspace: MakeWorkspace, status: Status) -> None:
    workspace = make_workspace()
    workspace.make()
    header, *lines = status.run("-A", workspace.name).stdout.splitlines()
    assert header.startswith("NAMESPACE") and lines[0].split()[:2] == [workspace.namespace, workspace.name]


def test_watching_prints_a_line_for_each_change(make_workspace: MakeWorkspace, status: Status) -> None:
    workspace = make_workspace()
    workspace.make()
    watching = status.watch()
    assert watching.stdout is not None
    rows = (line.split() for line in watching.stdout if line.startswith(f"{workspace.name} "))
    assert next(rows)[2:5] == ["False", "False", "False"]
    workspace.add_node()
    assert ["True", "True", "True"] in (row[2:5] for row in rows)
    watching.terminate()
    watching.communicate(timeout=10)


def test_an_empty_namespace_is_fine_and_said(status: Status) -> None:
    found = status.run()
    assert (found.returncode, found.stdout) == (0, "") and "There are no Workspaces" in found.stderr
    assert json.loads(status.run("--format", "json").stdout) == []


def test_a_workspace_that_is_not_there_ends_with_1(status: Status) -> None:
    found = status.run("nobody")
    assert found.returncode == 1 and "there is no Workspace 'nobody'" in found.stderr


def test_a_cluster_that_does_not_answer_ends_with_1(status: Status, tmp_path: Path) -> None:
    content = json.loads(Path(status.env["KUBECONFIG"]).read_text())
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(json.dumps(content))
    for options in ([], ["-w"]):
        found = status.run("--kubeconfig", str(tmp_path / "kubeconfig"), *options)
        assert (found.returncode, found.stderr) == (
            1,
            "error: https://127.0.0.1:1 does not answer: Connection refused\n",
        )


@pytest.mark.parametrize("options", [["-A", "-n", "x"], ["--format", "xml"], ["--nonsense"]])
def test_wrong_usage_ends_with_2(status: Status, options: list[str]) -> None:
    assert status.run(*options).returncode == 2
