"""Whether this machine can have real nodes, and if not, why. Called by `up --nodes real` and by tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from local_cloud.real.cgroups import hierarchies

NAMESPACES = [
    "unshare",
    "--mount",
    "--net",
    "--uts",
    "--pid",
    "--fork",
    "--mount-proc",
    "mount",
    "-t",
    "tmpfs",
    "none",
    "/mnt",
]
PROBE = "kaito-probe"


def refusal() -> str | None:
    """One sentence with the reason and the way out, or None where real nodes work."""
    reason = _reason()
    return f"real nodes are not possible here: {reason}. `--nodes simulated` works without." if reason else None


def _reason() -> str | None:
    if sys.platform != "linux":
        return "they need Linux"
    if os.geteuid() != 0:
        return "they need root"
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return "containerd and the registry come from Debian's or Ubuntu's packages, and there is no apt-get"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlayfs"
    if not shutil.which("unshare") or subprocess.run(NAMESPACES, capture_output=True).returncode != 0:
        return "this process may not make namespaces and mounts"
    return _no_cgroups()


def _no_cgroups() -> str | None:
    found = hierarchies()
    if not found:
        return "no control groups are mounted"
    for root in found:
        probe = root / f"{PROBE}-{os.getpid()}"
        try:
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            return f"control groups cannot be made ({error})"
    return None
