"""A throwaway stack of this repository's program, driven by the real Pulumi CLI. Used by tests and benchmarks."""

import json
import os
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Result:
    """What one `pulumi` command did."""

    code: int
    text: str
    events: list[dict[str, Any]]

    @property
    def ops(self) -> dict[str, str]:
        """What happened to each resource that changed: its name -> create, update, replace, delete, ..."""
        found: dict[str, str] = {}
        for event in self.events:
            step = (event.get("resourcePreEvent") or {}).get("metadata")
            if step and step["op"] not in {"same", "read", "refresh"} and "pulumi:pulumi:Stack" not in step["urn"]:
                name, op = _name(step["urn"]), step["op"]
                kind = "replace" if "replace" in op else op
                found[name] = kind
        return found

    @property
    def order(self) -> list[tuple[str, str]]:
        """(operation, name) in the order in which they started."""
        steps = [(e.get("resourcePreEvent") or {}).get("metadata") for e in self.events]
        return [(s["op"], _name(s["urn"])) for s in steps if s and s["op"] != "same"]


def _name(urn: str) -> str:
    """The logical name without the namespace in it, which is another one in each test."""
    return urn.split("::")[-1].split("/")[-1]


@dataclass
class Stack:
    """One stack. `workspaces` are entries of kaito:workspaces; change them or `config` between commands."""

    env: Mapping[str, str]
    folder: Path
    config: dict[str, Any]
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")
    project: Path = PROJECT

    def __post_init__(self) -> None:
        self._commands = 0
        self._run(["stack", "init", self.name])
        self._take_config()
        self._write_config()

    def preview(self, *options: str, check: bool = True) -> Result:
        return self._operate("preview", *options, check=check)

    def up(self, *options: str, check: bool = True) -> Result:
        return self._operate("up", "--yes", "--skip-preview", *options, check=check)

    def refresh(self, *options: str, check: bool = True) -> Result:
        return self._operate("refresh", "--yes", "--skip-preview", *options, check=check)

    def destroy(self, check: bool = True) -> Result:
        return self._operate("destroy", "--yes", "--skip-preview", check=check)

    def start_up(self) -> subprocess.Popen[str]:
        """`pulumi up` in a process group of its own, to be interrupted or killed."""
        self._write_config()
        return subprocess.Popen(
            ["pulumi", *self._command("up", "--yes", "--skip-preview")],
            cwd=self.project, env=self._env(), text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def export(self) -> dict[str, Any]:
        """The stack's state, as it lies in the backend (secrets encrypted)."""
        done = self._run(["stack", "export", "--stack", self.name])
        state: dict[str, Any] = json.loads(done.stdout)["deployment"]
        return state

    def resources(self) -> Counter[str]:
        """How many resources of each type the state holds."""
        return Counter(resource["type"] for resource in self.export().get("resources", []))

    def outputs(self) -> dict[str, Any]:
        done = self._run(["stack", "output", "--json", "--show-secrets", "--stack", self.name])
        outputs: dict[str, Any] = json.loads(done.stdout)
        return outputs

    def unlock(self) -> None:
        """What a user does after a crash: remove the lock."""
        self._run(["cancel", "--yes", "--stack", self.name])

    def made(self) -> list[dict[str, Any]]:
        """The resources in its state, operations that a kill left included, as the backend's file says: in no time."""
        backend = Path(urlsplit(self.env["PULUMI_BACKEND_URL"]).path)
        (file,) = backend.glob(f".pulumi/stacks/*/{self.name}.json")
        latest = json.loads(file.read_text())["checkpoint"].get("latest") or {}
        pending = [one["resource"] for one in latest.get("pending_operations") or []]
        return [one for one in [*(latest.get("resources") or []), *pending] if not one["type"].startswith("pulumi:")]

    def remove(self) -> None:
        """Takes everything away, whatever state a test left. Its empty record goes with the cloud."""
        if self.made():
            self._pulumi("cancel", "--yes", "--stack", self.name, "--non-interactive")
            self.destroy(check=False)

    def _operate(self, command: str, *options: str, check: bool) -> Result:
        self._write_config()
        self._commands += 1
        log = self.folder / f"events-{self._commands}.json"
        done = self._pulumi(*self._command(command, "--event-log", str(log), *options), check=check)
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Result(done.returncode, done.stdout + done.stderr, events)

    def _command(self, command: str, *options: str) -> Sequence[str]:
        common = ["--stack", self.name, "--non-interactive", "--color", "never"]
        return [command, *common, "--config-file", str(self._config_file), *options]

    def _run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        return self._pulumi(*arguments, "--non-interactive", check=True, seconds=60)

    def _pulumi(self, *arguments: str, check: bool = False, seconds: float = 540) -> subprocess.CompletedProcess[str]:
        """One command to its end. Raises AssertionError with its screen if `check` and it failed."""
        done = subprocess.run(
            ["pulumi", *arguments], cwd=self.project, env=self._env(), text=True, capture_output=True, timeout=seconds
        )
        if check and done.returncode != 0:
            raise AssertionError(f"pulumi {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def _env(self) -> dict[str, str]:
        return {**os.environ, **self.env, "PULUMI_DEBUG_COMMANDS": "true"}  # --event-log asks for it

    @property
    def _config_file(self) -> Path:
        return self.folder / f"Pulumi.{self.name}.yaml"

    def _take_config(self) -> None:
        """Moves the file that `stack init` made (it holds the salt of the secrets) out of the project."""
        for folder in (self.project / "stacks", self.project):
            if (made := folder / self._config_file.name).exists():
                self._config_file.write_text(made.read_text())
                made.unlink()

    def _write_config(self) -> None:
        old = yaml.safe_load(self._config_file.read_text()) if self._config_file.exists() else {}
        self._config_file.write_text(yaml.safe_dump({**old, "config": self.config}))


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """Sends a signal to the whole `pulumi` process group, as a closed terminal or an evicted CI job does."""
    os.killpg(process.pid, number)
    process.communicate(timeout=60)
