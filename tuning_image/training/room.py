"""How much memory there is for a training: of the GPU, of the machine, of the container. Called by fitting."""

from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")  # version 2, as a container sees its own


@dataclass(frozen=True)
class Room:
    """`total` bytes, of which `free` are not taken."""

    place: str
    free: int
    total: int


def on_gpu() -> Room:
    """Of the GPU that this process uses."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return Room(torch.cuda.get_device_name(), free, total)


def in_ram(cgroup: Path = CGROUP) -> Room:
    """Of the machine, or of the container where that is less. Swap is not counted."""
    memory = psutil.virtual_memory()
    machine = Room("this machine", memory.available, memory.total)
    limited = _container(cgroup)
    return limited if limited and limited.free < machine.free else machine


def _container(cgroup: Path) -> Room | None:
    """Its limit, less what it uses but for files that the kernel may drop."""
    limit = _text(cgroup / "memory.max").strip()
    if not limit.isdigit():
        return None
    used = int(_text(cgroup / "memory.current"))
    counts = dict(line.split() for line in _text(cgroup / "memory.stat").splitlines())
    droppable = int(counts.get("inactive_file", 0)) + int(counts.get("active_file", 0))
    return Room("this container", max(0, int(limit) - max(0, used - droppable)), int(limit))


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
