"""`python -m local_cloud` as a user types it."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from local_cloud.instance import Instance, instance_names

CHECKOUT = Path(__file__).parents[2]


def local_cloud(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local_cloud", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)


def shell(exports: str, command: str) -> str:
    done = subprocess.run(["/bin/sh", "-euc", f"{exports}\n{command}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_up_status_and_down(tmp_path: Path) -> None:
    name = f"test-{uuid.uuid4().hex[:12]}"
    up = local_cloud("up", "--name", name)
    status = local_cloud("status", "--name", name)
    down = local_cloud("down", "--name", name)
    assert [up.returncode, status.returncode, down.returncode] == [0, 0, 0]
    assert "ready in" in up.stdout
    assert "stand-ins" in up.stdout
    assert down.stdout == f"local cloud '{name}': down, nothing of it is left\n"
    assert name not in instance_names()


def test_status_shows_programs_ports_and_nodes(cloud: Instance, node: str) -> None:
    shown = local_cloud("status", "--name", cloud.name).stdout
    port = cloud.status().ports["kube-apiserver"]
    assert f"127.0.0.1:{port}" in shown
    assert any(
        line.split()[0] == node and line.split()[2:] == ["Standard_NC12s_v3", "2", "simulated"]
        for line in shown.splitlines()
        if line.strip()
    )


def test_env_lets_kubectl_and_pulumi_work_in_a_shell(cloud: Instance) -> None:
    exports = local_cloud("env", "--name", cloud.name).stdout
    assert shell(exports, "kubectl get namespace default -o name") == "namespace/default"
    assert shell(exports, "pulumi whoami --verbose | grep URL").endswith(
        f"file://{cloud.folder}/pulumi-state?metadata=skip"
    )


def test_env_is_what_the_python_api_gives(cloud: Instance) -> None:
    exports = local_cloud("env", "--name", cloud.name).stdout
    for key, value in cloud.env().items():
        assert shell(exports, f'printf %s "${key}"') == value


def test_env_keeps_the_users_passphrase(cloud: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "/my/passphrase")
    assert "PULUMI_CONFIG_PASSPHRASE" not in cloud.env()
    assert "PASSPHRASE" not in local_cloud("env", "--name", cloud.name).stdout


def test_the_stand_ins_are_plugins_that_the_engine_finds(cloud: Instance) -> None:
    environment = {**os.environ, **cloud.env()}
    listed = subprocess.run(["pulumi", "plugin", "ls"], env=environment, capture_output=True, text=True).stdout
    assert {line.split()[0] for line in listed.splitlines()[1:] if "resource" in line} == {"azure-native", "kubernetes"}


@pytest.mark.parametrize("command", ["status", "env"])
def test_an_instance_that_is_not_up_is_an_error_in_one_line(command: str) -> None:
    done = local_cloud(command, "--name", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "local_cloud: local cloud 'nobody' is not up: python -m local_cloud up --name nobody\n"


def test_an_instance_keeps_its_kind_of_nodes(cloud: Instance) -> None:
    done = local_cloud("up", "--nodes", "real", "--name", cloud.name)
    assert done.returncode == 1
    assert "has simulated nodes: take it down first" in done.stderr


def test_a_missing_command_is_a_usage_error() -> None:
    assert local_cloud().returncode == 2


def test_an_up_that_fails_names_the_program_with_its_last_words_and_says_how_to_start_over(own_cloud: Instance) -> None:
    own_cloud.down(keep_state=True)
    (own_cloud.folder / "pki/apiserver.key").write_text("broken")
    done = local_cloud("up", "--name", own_cloud.name)
    assert done.returncode == 1
    assert re.search(r"kube-apiserver ended:(.|\n)*failed to find any PEM data in key", done.stderr)
    assert done.stderr.endswith(f"`python -m local_cloud down --name {own_cloud.name}` and `up` start over\n")
