"""Building the toolchain, with a Go module of three lines in place of Kubernetes and Pulumi."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local_cloud.go_build import BuildError, Program
from local_cloud.toolchain import PROGRAMS, Toolchain

HELLO = Program(name="hello", module="hello", package=".", minutes=1, links=("bonjour",))
BUILD = """
from pathlib import Path
from local_cloud.go_build import Program
from local_cloud.toolchain import Toolchain
hello = Program(name="hello", module="hello", package=".", minutes=1, links=("bonjour",))
Toolchain(source=Path({source!r}), programs=[hello], root=Path({root!r})).build()
"""
BROKEN = Program(name="broken", module="broken", package=".", minutes=1)
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Go modules: one that compiles, one that does not."""
    for name, body in {"hello": 'println("hello")', "broken": "nothing()"}.items():
        folder = tmp_path / "source" / name
        folder.mkdir(parents=True)
        (folder / "go.mod").write_text(f"module {name}\n\ngo 1.26\n")
        (folder / "main.go").write_text(f"package main\n\nfunc main() {{ {body} }}\n")
    return tmp_path / "source"


@pytest.fixture
def toolchain(source: Path, tmp_path: Path) -> Toolchain:
    return Toolchain(source=source, programs=[HELLO], root=tmp_path / "cache")


def fake_go(folder: Path, build: str, version: str = "go1.26.1") -> None:
    """A `go` that counts its builds and runs `build` with the wanted path in $out."""
    folder.mkdir()
    script = folder / "go"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = env ] && {{ echo {version}; exit; }}\necho build >> {folder}/builds\nout=$3\n{build}\n'
    )
    script.chmod(0o755)


def silent(line: str) -> None:
    """For builds whose progress does not matter."""


def test_a_program_is_built_and_runs_under_its_links(toolchain: Toolchain) -> None:
    folder = toolchain.build(silent)
    assert {path.name for path in folder.iterdir()} == {"hello", "bonjour"}
    assert subprocess.run([folder / "bonjour"], capture_output=True, text=True, check=True).stderr == "hello\n"


def test_what_is_built_is_not_built_again(toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    toolchain.build(silent)
    monkeypatch.setenv("PATH", "/nowhere")
    lines: list[str] = []
    toolchain.build(lines.append)
    assert lines == []


def test_progress_names_the_program_and_how_long_it_will_take(toolchain: Toolchain) -> None:
    lines: list[str] = []
    toolchain.build(lines.append)
    assert lines[0].startswith("hello: building (up to 1 minutes")
    assert lines[-1].startswith("hello: built in ")


@pytest.mark.parametrize("changed", ["hello/main.go", "hello/go.mod", "hello/go.sum", "hello/new.go"])
def test_a_change_of_any_go_file_changes_the_key(toolchain: Toolchain, source: Path, changed: str) -> None:
    before = toolchain.key
    with (source / changed).open("a") as file:
        file.write("// changed\n")
    assert toolchain.key != before


def test_a_change_of_a_build_flag_changes_the_key(toolchain: Toolchain) -> None:
    other = Program(name="hello", module="hello", package=".", minutes=1, tags="netgo", links=("bonjour",))
    assert Toolchain(source=toolchain.source, programs=[other], root=toolchain.root).key != toolchain.key


def test_a_program_that_does_not_compile_leaves_nothing_and_says_why(source: Path, tmp_path: Path) -> None:
    toolchain = Toolchain(source=source, programs=[BROKEN], root=tmp_path / "cache")
    with pytest.raises(BuildError, match=r"broken did not compile:(.|\n)*undefined: nothing"):
        toolchain.build(silent)
    assert list(toolchain.bin.iterdir()) == []


def test_a_failed_program_does_not_undo_what_was_built(source: Path, tmp_path: Path) -> None:
    toolchain = Toolchain(source=source, programs=[HELLO, BROKEN], root=tmp_path / "cache")
    toolchain.bin.mkdir(parents=True)
    (toolchain.bin / "hello").touch()
    with pytest.raises(BuildError):
        toolchain.build(silent)
    assert [program.name for program in toolchain.missing()] == ["broken"]


def test_two_builds_at_once_compile_once(toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path / "fake", 'sleep 0.5; echo built > "$out"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'fake'}:{os.environ['PATH']}")
    builds = [threading.Thread(target=toolchain.build, args=(silent,)) for _ in range(2)]
    for build in builds:
        build.start()
    for build in builds:
        build.join()
    assert (tmp_path / "fake/builds").read_text() == "build\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_binary_and_can_go_on(
    toolchain: Toolchain, tmp_path: Path, how: signal.Signals
) -> None:
    fake_go(tmp_path / "fake", 'echo half > "$out"; exec sleep 30')
    environment = {**os.environ, "PATH": f"{tmp_path / 'fake'}:{os.environ['PATH']}", "PYTHONPATH": str(CHECKOUT)}
    build = subprocess.Popen(
        # A CI job may have been started with SIGINT ignored, which children inherit.
        [
            "env",
            "--default-signal=INT",
            sys.executable,
            "-c",
            BUILD.format(source=str(toolchain.source), root=str(toolchain.root)),
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (tmp_path / "fake/builds").exists():
        time.sleep(0.05)
    os.killpg(build.pid, how)  # as Ctrl-C and a cancelled CI job do: the whole process group
    build.wait()
    assert not (toolchain.bin / "hello").exists()
    assert {path.name for path in toolchain.build(silent).iterdir()} == {"hello", "bonjour"}


def test_a_missing_go_is_said_in_one_sentence(toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuildError, match=r"^Go 1\.26 or newer is needed [^.]*, and no `go` is on PATH\.$"):
        toolchain.build(silent)


@pytest.mark.parametrize("version", ["go1.25.9", "go1.9", "devel"])
def test_a_go_that_is_too_old_is_said_in_one_sentence(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    fake_go(tmp_path / "fake", "exit 1", version)
    monkeypatch.setenv("PATH", str(tmp_path / "fake"), prepend=":")
    with pytest.raises(BuildError, match=f"Go 1.26 or newer is needed .* is {version}"):
        toolchain.build(silent)


def test_the_users_go_settings_do_not_change_what_is_built(
    toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("GOWORK", "/nowhere/go.work")
    assert (toolchain.build(silent) / "hello").exists()


def test_the_users_own_pulumi_is_used_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own/pulumi"
    own.parent.mkdir()
    own.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(own.parent), prepend=":")
    monkeypatch.setenv("KAITO_PULUMI", "pulumi")
    toolchain = Toolchain(root=tmp_path / "cache")
    assert {program.name for program in toolchain.missing()} == {"kube", "etcd", "kwok"}
    assert toolchain.search_path() == [own.parent, toolchain.bin]


def test_a_pulumi_that_is_asked_for_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAITO_PULUMI", "/nowhere/pulumi")
    with pytest.raises(BuildError, match="KAITO_PULUMI is '/nowhere/pulumi', and there is no such program"):
        Toolchain(root=tmp_path / "cache").build(silent)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_program_of_the_toolchain_has_a_pinned_module(program: Program) -> None:
    module = Toolchain().source / program.module
    assert (module / "go.mod").exists()
    assert (module / "go.sum").exists()


def test_the_toolchain_needs_no_package_since_the_demo_starts_it_before_there_are_any():
    code = "import sys, local_cloud.toolchain; sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-S", "-c", code], cwd=CHECKOUT, check=True)
