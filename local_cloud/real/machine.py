"""The first process of a node: gives it a machine's folders, then runs containerd and the kubelet until one ends.

Started by nodes.py by its path, in mount, process and host name namespaces of its own, so standard library only. When
it ends, the kernel ends every process of the node and takes its mounts away.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

NODE = Path("/run/node")  # the node's folder, where socket paths stay short
CONTAINERD = "/run/containerd/containerd.sock"
SECONDS_TO_START = 60.0
KEPT = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet", "log": "/var/log"}
IMAGES = "images"  # in a node's folder: the containerd whose unpacked layers it has (node_images.py)
SNAPSHOTTER = "io.containerd.snapshotter.v1.overlayfs"  # in containerd's folder
SNAPSHOTS = f"{SNAPSHOTTER}/snapshots"
# What the kubelet wants of the kernel, and sets where it finds another value. It finds these, and this machine's
# settings stay as they are.
KERNEL = {
    "vm/overcommit_memory": "1",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def main(folder: Path) -> None:
    settings = json.loads((folder / "node.json").read_text())
    socket.sethostname(settings["name"])
    mount_machine(folder)
    with (NODE / "containerd.log").open("ab") as log:
        containerd = subprocess.Popen(["containerd", "--config", str(NODE / "containerd.toml")], stdout=log, stderr=log)
    wait_for(CONTAINERD, containerd)
    subprocess.run(["ctr", "--namespace", "k8s.io", "images", "import", str(NODE / "pause.tar")], check=True)
    with (NODE / "kubelet.log").open("ab") as log:
        kubelet = subprocess.Popen(settings["kubelet"], stdout=log, stderr=log)
    ended = run_until_one_ends({containerd.pid: "containerd", kubelet.pid: "kubelet"})
    sys.exit(f"{ended} ended: {NODE / ended}.log")


def mount_machine(folder: Path) -> None:
    """A /run of its own, a /var whose changes are lost at the end, and the node's folder for what is kept."""
    mount("--make-rshared", "/")
    images = layers(folder / IMAGES / SNAPSHOTS)
    handle = os.open(folder, os.O_PATH)  # before /run covers it
    mount("-t", "tmpfs", "-o", "mode=755", "node", "/run")
    for path in (NODE, Path("/run/netns"), Path("/run/var"), Path("/run/work"), Path("/run/kernel")):
        path.mkdir()
    mount("--bind", f"/proc/self/fd/{handle}", str(NODE), pass_fds=(handle,))
    os.close(handle)
    mount("-t", "overlay", "-o", "lowerdir=/var,upperdir=/run/var,workdir=/run/work", "node", "/var")
    for name, place in KEPT.items():
        for path in (NODE / name, Path(place)):
            path.mkdir(parents=True, exist_ok=True)
        mount("--bind", str(NODE / name), place)
    for name, layer in images.items():
        where = Path(KEPT["containerd"], SNAPSHOTS, name)
        mount("-o", "bind,ro", f"/proc/self/fd/{layer}", str(where), pass_fds=(layer,))
        os.close(layer)
    for name, value in KERNEL.items():
        stand_in = Path("/run/kernel") / name.replace("/", "-")
        stand_in.write_text(f"{value}\n")
        mount("--bind", str(stand_in), f"/proc/sys/{name}")


def layers(folder: Path) -> dict[str, int]:
    """The unpacked layers of the images that every node has, open."""
    return {path.name: os.open(path, os.O_PATH) for path in folder.iterdir()} if folder.exists() else {}


def mount(*arguments: str, pass_fds: tuple[int, ...] = ()) -> None:
    subprocess.run(["mount", *arguments], check=True, pass_fds=pass_fds)


def wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(address) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing answers at {address}: {NODE / 'containerd.log'}")


def run_until_one_ends(programs: dict[int, str]) -> str:
    """Reaps every process that the node leaves to its first one, and returns the name of the program that ended."""
    while True:
        pid, _ = os.wait()
        if pid in programs:
            return programs[pid]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
