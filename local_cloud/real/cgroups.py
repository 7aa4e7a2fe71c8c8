"""The control groups of an instance, in every hierarchy of this machine. Called by nodes.py.

All processes of a node are in groups below its own, so they are found and ended by it even if nothing else is known.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SECONDS_TO_DIE = 20.0
POLL_SECONDS = 0.05
LEAF = "machine"  # cgroup v2 allows processes in leaves only
INHERITED = ("cpuset.cpus", "cpuset.mems")  # a cpuset of v1 takes no process before it has both


def hierarchies() -> list[Path]:
    """Where control groups are mounted: one folder with cgroup v2, one per controller with v1."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(fields[1]) for fields in lines if fields[2] in ("cgroup", "cgroup2")]


def create(group: str) -> list[Path]:
    """Makes the group everywhere, and returns the files that a process of the node writes its id to."""
    return [_create(root, group) / "cgroup.procs" for root in hierarchies()]


def _create(root: Path, group: str) -> Path:
    folder = root
    for part in (*group.split("/"), LEAF):
        parent, folder = folder, folder / part
        folder.mkdir(exist_ok=True)
        for name in INHERITED:
            inherited = folder / name
            if inherited.exists() and os.access(inherited, os.W_OK) and not inherited.read_text().strip():
                inherited.write_text((parent / name).read_text())
    return folder


def remove(group: str) -> None:
    """Ends every process in the group and removes it everywhere; absent is fine.

    Raises:
        OSError: a process does not die.
    """
    deadline = time.monotonic() + SECONDS_TO_DIE
    while True:
        for pid in _processes(group):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        left = [error for root in hierarchies() for error in _remove(root / group)]
        if not left:
            return
        if time.monotonic() > deadline:
            raise left[0]
        time.sleep(POLL_SECONDS)


def _processes(group: str) -> Iterator[int]:
    for root in hierarchies():
        for listed in (root / group).rglob("cgroup.procs"):
            with suppress(OSError):
                yield from (pid for pid in map(int, listed.read_text().split()) if pid)


def _remove(folder: Path) -> Iterator[OSError]:
    for inner, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(inner)  # noqa: PTH106 - the control files in it are no files to remove
        except FileNotFoundError:
            continue
        except OSError as error:
            yield error
