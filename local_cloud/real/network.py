"""The network namespace of an instance: nodes, pods, cluster addresses and their iptables rules are all in it.

A process that sleeps holds it. A pair of links and two routes lead there from this machine, whose own rules and
settings stay as they are. When the last process in it ends, all of it is gone. Called by Instance.up and down.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from local_cloud.processes import BackgroundProcess
from local_cloud.real.site import Site, site_id

HOLDER = "network"
INNER_LINK = "eth0"
SECONDS = 20.0
POLL_SECONDS = 0.02


def holder(folder: Path) -> BackgroundProcess:
    """The process that keeps the namespace while nothing else runs in it."""
    return BackgroundProcess(HOLDER, folder)


def is_up(site: Site) -> bool:
    """Whether the namespace is there."""
    return holder(site.folder).pid() is not None


def create(site: Site) -> None:
    """Makes the namespace and the way into it; what is there already stays."""
    process = holder(site.folder)
    process.start(["unshare", "--net", "sleep", "infinity"], site.environment)
    _wait_until(lambda: _namespace(process.pid()) not in (None, _namespace("self")), "its network namespace")
    if not (Path("/sys/class/net") / site.id).exists():
        _run("ip", "link", "add", site.id, "type", "veth", "peer", "name", INNER_LINK, "netns", str(process.pid()))
    _run("ip", "address", "replace", f"{site.host_address}/{site.prefix_length}", "dev", site.id)
    _run("ip", "link", "set", site.id, "up")
    add_address(site, site.inner_address)
    _run(*inside(site, ["ip", "link", "set", "lo", "up"]))
    _run(*inside(site, ["ip", "link", "set", INNER_LINK, "up"]))
    _run(*inside(site, ["ip", "route", "replace", "default", "via", site.host_address]))
    _run(*inside(site, ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))
    for network in (site.settings.pod_range, site.settings.service_range):
        _run("ip", "route", "replace", network, "via", site.inner_address, "dev", site.id)


def inside(site: Site, command: Sequence[str]) -> list[str]:
    """The command, run in the namespace under the same process id.

    Raises:
        OSError: the namespace is gone.
    """
    pid = holder(site.folder).pid()
    if pid is None:
        raise OSError(
            f"the network of {site.folder.name} does not run: python -m local_cloud up --name {site.folder.name}"
        )
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *command]


def add_address(site: Site, address: str) -> None:
    """Gives the namespace one more address."""
    _run(*inside(site, ["ip", "address", "replace", f"{address}/{site.prefix_length}", "dev", INNER_LINK]))


def remove_address(site: Site, address: str) -> None:
    """Takes an address away again; absent is fine."""
    command = inside(site, ["ip", "address", "delete", f"{address}/{site.prefix_length}", "dev", INNER_LINK])
    subprocess.run(command, capture_output=True)


def remove(folder: Path) -> None:
    """Ends the holder, and waits until the kernel has taken the link away. All else in the namespace has ended."""
    holder(folder).end()
    link = Path("/sys/class/net") / site_id(folder)
    _wait_until(lambda: not link.exists(), f"the end of network link {link.name}")


def _namespace(pid: int | str | None) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise OSError(f"{what} did not come within {SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
