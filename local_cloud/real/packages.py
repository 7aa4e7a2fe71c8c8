"""What Debian or Ubuntu packages for a node and a registry. Called by Instance.up, nodes.py and tests of pushes.

They are unpacked into the cache and not installed: no service of theirs is started, nothing that this machine runs
already (Docker has its own containerd) is touched, and removing the cache removes them.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from local_cloud.cache import cache_root
from local_cloud.go_build import BuildError, Say

UNPACKED = (
    "containerd",                   # also ctr and the shim
    "runc",
    "containernetworking-plugins",  # ptp, host-local, portmap, loopback
    "docker-registry",
    "busybox-static",               # the pause image, and the images of the tests
    "whois",                        # mkpasswd: a hash for the registry's login
)  # fmt: skip
INSTALLED = {"ip": "iproute2", "iptables": "iptables"}  # kube-proxy's; they come with plug-ins and bring no service


def folder() -> Path:
    """Where the packages are unpacked."""
    key = hashlib.sha256(" ".join(UNPACKED).encode()).hexdigest()[:12]
    return cache_root() / "packages" / key


def search_path() -> str:
    """PATH with the unpacked programs first."""
    own = [str(folder() / part) for part in ("usr/sbin", "usr/bin", "bin")]
    return os.pathsep.join([*own, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def ensure(say: Say) -> None:
    """Installs, downloads and unpacks what is missing.

    Raises:
        BuildError: apt cannot.
    """
    absent = [package for program, package in INSTALLED.items() if not shutil.which(program, path=search_path())]
    if absent:
        say(f"installing {', '.join(absent)} with apt-get")
        _apt("install", "--yes", "--no-install-recommends", *absent)
    unpack(say)


def unpack(say: Say) -> None:
    """Downloads and unpacks what is missing; needs no root.

    Raises:
        BuildError: apt cannot, or is not there.
    """
    if folder().exists():
        return
    folder().parent.mkdir(parents=True, exist_ok=True)
    with (folder().parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder().exists():
            say(f"unpacking Debian's {', '.join(UNPACKED)} (41 MB, some seconds)")
            _unpack()


def _unpack() -> None:
    with tempfile.TemporaryDirectory(dir=folder().parent) as name:
        work = Path(name)
        _apt("download", *UNPACKED, cwd=work)
        for package in sorted(work.glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, work / "root"], check=True)
        (work / "root").rename(folder())


def _apt(*arguments: str, cwd: Path | None = None) -> None:
    """Runs apt-get; a machine that knows no packages yet, or only old ones, is told of them first."""
    if not shutil.which("apt-get"):
        raise BuildError("there is no apt-get, so Debian's packages cannot be had")
    command = ["apt-get", "-qq", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        subprocess.run(["apt-get", "-qq", "update"], env=environment, capture_output=True)
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
