"""Compiling Go programs with progress on the screen and no half-written binaries. Called by toolchain.py."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OLDEST_GO = (1, 26)
LESS_URGENT = ("nice", "-n", "10")  # than the images, which are built beside them and wait for the network and the disk
NO_DWARF = ("-gcflags", "all=-dwarf=false")  # -s and -w throw it away anyway; a fifth of the compile time
SECONDS_BETWEEN_SIGNS_OF_LIFE = 30
POLL_SECONDS = 0.5
LINES_OF_ERROR = 15

Say = Callable[[str], None]


class BuildError(Exception):
    """Something that the user must do or know, in one sentence (then the compiler's last lines, if it was it)."""


@dataclass(frozen=True)
class Program:
    """A binary and how to compile it. `minutes` is what it takes with an empty Go cache on two cores."""

    name: str
    module: str
    package: str
    minutes: float
    ldflags: str = "-s -w"
    tags: str = ""
    links: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The flags of `go build`, which are part of the toolchain's key."""
        tags = ["-tags", self.tags] if self.tags else []
        return ["-buildvcs=false", "-trimpath", *NO_DWARF, *tags, "-ldflags", self.ldflags, self.package]


def environment() -> dict[str, str]:
    """The user's environment without the Go settings that would change what is built."""
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}


def find_go() -> str:
    """The path of a `go` that is new enough.

    Raises:
        BuildError: there is none.
    """
    oldest = ".".join(map(str, OLDEST_GO))
    go = shutil.which("go")
    if go is None:
        raise BuildError(f"Go {oldest} or newer is needed to build the local cloud, and no `go` is on PATH.")
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env=environment()).stdout.strip()
    found = re.match(r"go(\d+)\.(\d+)", version)
    if found is None or tuple(map(int, found.groups())) < OLDEST_GO:
        raise BuildError(f"Go {oldest} or newer is needed to build the local cloud; {go} is {version or 'broken'}.")
    return go


def module_folder(go: str, module: Path, dependency: str) -> Path:
    """The folder of a dependency's sources in the module cache."""
    command = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", dependency]
    found = subprocess.run(command, cwd=module, capture_output=True, text=True, env=environment())
    if found.returncode != 0 or not found.stdout.strip():
        raise BuildError(f"go list -m {dependency} failed: {found.stderr.strip()}")
    return Path(found.stdout.strip())


def compile_program(go: str, program: Program, module: Path, folder: Path, say: Say, stop: threading.Event) -> None:
    """Compiles into `folder`, until `stop`; the binary appears there whole or not at all."""
    unfinished = folder / f".{program.name}.{os.getpid()}"
    log = folder / f".{program.name}.log"
    command = [*LESS_URGENT, go, "build", "-o", str(unfinished), *program.arguments]
    say(f"{program.name}: building (up to {program.minutes:g} minutes on two cores, seconds if compiled before)")
    started = time.monotonic()
    try:
        with log.open("wb") as output:
            compiler = subprocess.Popen(command, cwd=module, env=environment(), stdout=output, stderr=output)
            code = _wait(compiler, program.name, say, stop)
        if code != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-LINES_OF_ERROR:])
            raise BuildError(f"{program.name} did not compile:\n{tail}")
        unfinished.rename(folder / program.name)
    finally:
        unfinished.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
    say(f"{program.name}: built in {time.monotonic() - started:.0f} s")


def _wait(compiler: subprocess.Popen[bytes], name: str, say: Say, stop: threading.Event) -> int:
    """The exit code; a compiler that must stop is ended and counts as failed."""
    started = last_sign = time.monotonic()
    while not stop.is_set():
        with suppress(subprocess.TimeoutExpired):
            return compiler.wait(POLL_SECONDS)
        if time.monotonic() - last_sign > SECONDS_BETWEEN_SIGNS_OF_LIFE:
            last_sign = time.monotonic()
            say(f"{name}: still building, {last_sign - started:.0f} s")
    compiler.terminate()
    return compiler.wait()
