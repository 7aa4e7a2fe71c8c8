"""`kaito chat`, `kaito logs` and `kaito events` as a user runs them, against simulated pods."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from live_workspace import LiveWorkspace

from local_cloud.instance import Instance

MakeWorkspace = Callable[..., LiveWorkspace]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kaito(cloud: Instance, namespace: str) -> Run:
    def run(command: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": str(cloud.kubeconfig)}
        whole = [sys.executable, "-m", "kaito_components.cli", command, "-n", namespace, *options]
        return subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=60, **more)

    return run


def test_a_question_is_answered_through_a_port_forward(make_workspace: MakeWorkspace, kaito: Run) -> None:
    workspace = make_workspace().bring_up()
    done = kaito("chat", workspace.name, "-m", "what is KAITO?")
    assert (done.returncode, done.stdout.strip()[-29:]) == (0, "Question 1 was: what is KAITO?"[-29:]), done.stderr


def test_a_conversation_remembers_its_turns(make_workspace: MakeWorkspace, kaito: Run) -> None:
    workspace = make_workspace().bring_up()
    first, second = kaito("chat", workspace.name, input="one\ntwo\n").stdout.splitlines()
    assert first.endswith("Question 1 was: one") and second.endswith("Question 2 was: two")


def test_a_workspace_without_a_ready_pod_is_named(make_workspace: MakeWorkspace, kaito: Run) -> None:
    workspace = make_workspace()
    workspace.make()
    done = kaito("chat", workspace.name, "-m", "x")
    assert done.returncode == 1 and "ready to answer" in done.stderr and "Traceback" not in done.stderr
    missing = kaito("chat", "nobody", "-m", "x")
    assert missing.returncode == 1 and "'nobody' has no pod" in missing.stderr


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_the_log_of_the_newest_pod_is_shown(make_workspace: MakeWorkspace, kaito: Run, kind: str) -> None:
    workspace = make_workspace(kind).bring_up()
    done = kaito("logs", workspace.name, "--tail", "5")
    assert done.returncode == 0 and done.stdout, done.stderr
    other = kaito("logs", workspace.name, "--serving" if kind == "Job" else "--tuning")
    assert other.returncode == 1 and "has no" in other.stderr


def test_what_went_wrong_stands_in_one_place(make_workspace: MakeWorkspace, kaito: Run) -> None:
    assert kaito("events").stdout == "Nothing is wrong.\n"
    workspace, fine = make_workspace(), make_workspace().bring_up()
    workspace.make()
    for _ in range(20):
        said = kaito("events", workspace.name).stdout
        if "FailedScheduling" in said:
            break
    assert f"{workspace.name}: " in said and "FailedScheduling" in said
    assert kaito("events", fine.name).returncode == 0
