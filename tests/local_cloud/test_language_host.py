"""The Python language host, run by the real Pulumi CLI."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from local_cloud.toolchain import Toolchain

DYNAMIC = """
import time
import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider
class Slow(ResourceProvider):
    def create(self, props):
        time.sleep(60)
class Wait(Resource):
    def __init__(self, name):
        super().__init__(Slow(), name, {})
Wait("wait")
"""
CONFIGURED = """
import pulumi
config = pulumi.Config()
pulumi.export("plain", config.get("plain"))
pulumi.export("secret", config.get_secret("secret"))
pulumi.export("is_secret", config.get_secret("secret").is_secret())
pulumi.export("where", [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])
"""
PLUGIN = """
from typing import TypedDict
import pulumi
from pulumi.provider.experimental import component_provider_host
class BoxArgs(TypedDict):
    size: pulumi.Input[float]
class Box(pulumi.ComponentResource):
    size: pulumi.Output[float]
    def __init__(self, name: str, args: BoxArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("box:index:Box", name, {}, opts)
component_provider_host(components=[Box], name="box", version="1.0.0")
"""


@dataclass
class Project:
    """A Pulumi project in a folder with a backend of its own."""

    folder: Path
    environment: dict[str, str]

    def write(self, program: str, options: dict[str, str] | None = None) -> None:
        """Writes the project and its stack `t`."""
        self.folder.mkdir(exist_ok=True)
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix} if options is None else options}
        (self.folder / "Pulumi.yaml").write_text(json.dumps({"name": "host", "runtime": runtime}))
        (self.folder / "__main__.py").write_text(program)
        self.pulumi("stack", "select", "--create", "t")

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def outputs(self) -> dict[str, object]:
        """The stack's outputs after an `up`."""
        done = self.pulumi("up", "--yes", "--skip-preview")
        assert done.returncode == 0, done.stdout
        found: dict[str, object] = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets").stdout)
        return found

    def start_up(self) -> tuple[psutil.Process, list[psutil.Process]]:
        """Starts an `up` and returns it and its descendants when the program and a dynamic provider run."""
        up = psutil.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            children = up.children(recursive=True)
            lines = []
            for child in children:
                with suppress(psutil.Error):
                    lines.append(" ".join(child.cmdline()))
            if any("pulumi.dynamic" in line for line in lines) and any("python-exec" in line for line in lines):
                return up, children
            time.sleep(0.1)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "state").mkdir()
    path = os.pathsep.join([str(Toolchain().build()), os.environ["PATH"]])
    environment = {
        "PATH": path,
        "HOME": str(tmp_path),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    return Project(tmp_path / "project", environment)


def test_a_program_runs_in_the_virtual_environment_of_its_project(project: Project) -> None:
    project.write("import pulumi, sys\npulumi.export('prefix', sys.prefix)")
    assert project.outputs() == {"prefix": sys.prefix}


def test_a_relative_virtual_environment_is_relative_to_the_project(project: Project) -> None:
    project.folder.mkdir()
    (project.folder / "env").symlink_to(sys.prefix)
    project.write("import os, pulumi\npulumi.export('env', os.environ['VIRTUAL_ENV'])", {"virtualenv": "env"})
    assert project.outputs() == {"env": str(project.folder / "env")}


def test_config_secrets_and_the_stack_reach_the_program(project: Project) -> None:
    project.write(CONFIGURED)
    project.pulumi("config", "set", "plain", "text")
    project.pulumi("config", "set", "--secret", "secret", "hidden")
    where = ["host", "t", "organization"]
    assert project.outputs() == {"plain": "text", "secret": "hidden", "is_secret": True, "where": where}


def test_what_a_program_prints_is_shown(project: Project) -> None:
    project.write("import sys\nprint('to stdout')\nprint('to stderr', file=sys.stderr)")
    shown = project.pulumi("preview").stdout
    assert "to stdout" in shown
    assert "to stderr" in shown


def test_an_exception_is_shown_once_with_its_line(project: Project) -> None:
    project.write("raise ValueError('too bad')")
    preview = project.pulumi("preview")
    assert preview.returncode != 0
    assert preview.stdout.count("ValueError: too bad") == 1
    assert '__main__.py", line 1' in preview.stdout


def test_an_exit_code_of_the_program_fails_the_preview(project: Project) -> None:
    project.write("import os\nos._exit(7)")
    preview = project.pulumi("preview")
    assert preview.returncode != 0
    assert "exit status 7" in preview.stdout


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"typechecker": "mypy"}, 'does not know the runtime option "typechecker"'),
        ({"toolchain": "conda"}, 'unknown toolchain "conda"'),
        ({"virtualenv": "/nowhere"}, "/nowhere"),
    ],
)
def test_a_runtime_option_that_cannot_be_honoured_is_an_error(
    project: Project, options: dict[str, str], problem: str
) -> None:
    project.write("", options)
    preview = project.pulumi("preview")
    assert preview.returncode != 0
    assert problem in preview.stdout


def test_about_names_the_interpreter(project: Project) -> None:
    project.write("")
    assert f"{sys.prefix}/bin/python" in project.pulumi("about").stdout


def test_a_plugin_written_in_python_is_served(project: Project) -> None:
    plugin = project.folder / "plugin"
    plugin.mkdir(parents=True)
    runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
    (plugin / "PulumiPlugin.yaml").write_text(json.dumps({"runtime": runtime}))
    (plugin / "__main__.py").write_text(PLUGIN)
    project.write("")
    shown = project.pulumi("package", "get-schema", "./plugin").stdout
    schema = json.loads(shown[shown.index("{") :])
    assert list(schema["resources"]) == ["box:index:Box"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_an_up_that_is_ended(project: Project, how: signal.Signals) -> None:
    project.write(DYNAMIC)
    up, children = project.start_up()
    up.send_signal(how)
    if how == signal.SIGINT:
        time.sleep(1)
        up.send_signal(how)  # the second one does not wait for operations
    up.wait(20)
    deadline = time.monotonic() + 10
    while alive := [child for child in children if is_alive(child)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # its reaper may take its time
    return False
