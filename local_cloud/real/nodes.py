"""Real nodes of an instance: a containerd and a kubelet each, in namespaces and a control group of their own.

Called by the Azure stand-in for each machine of an agent pool, and by Instance.up and down.
"""

import json
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

from local_cloud.nodes import apply_node, conditions, delete_node
from local_cloud.processes import BackgroundProcess
from local_cloud.real import cgroups, network, node_files, node_images
from local_cloud.real.site import Site, site_id

MACHINE = Path(__file__).with_name("machine.py")
NAMESPACES = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
SECONDS_TO_BE_READY = 120.0  # on a loaded machine; 5 s is usual
SECONDS_TO_DRAIN = 60.0
GPU = "nvidia.com/gpu"


class NodeNotReady(Exception):
    """A node ended, or is not ready in time; the message ends with its last words."""


def process(folder: Path, name: str) -> BackgroundProcess:
    """The process whose end is the node's."""
    return BackgroundProcess(f"node-{name}", folder)


def apply(site: Site, manifest: Mapping[str, Any]) -> None:
    """Starts the node, unless it runs, and gives it the labels, taints and GPUs of the manifest.

    Raises:
        NodeNotReady: it does not come up.
    """
    name, kubeconfig = manifest["metadata"]["name"], site.folder / "kubeconfig"
    folder = site.node_folder(name)
    if not (folder / "node.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        node_images.give(folder)
        node_files.write(site, name, site.free_node_address())
    real = _without_simulation(manifest)
    (folder / "manifest.json").write_text(json.dumps(real))
    apply_node(kubeconfig, {**real, "status": {}})  # before the kubelet registers: no pod may come before the taints
    start(site, name)


def start(site: Site, name: str) -> None:
    """Starts the processes of a node that was applied before, and waits for it."""
    folder = site.node_folder(name)
    running = process(site.folder, name)
    if running.pid() is None:
        cgroups.remove(node_files.group(site, name))
        network.add_address(site, json.loads((folder / "node.json").read_text())["address"])
        running.start(_command(site, name), site.environment)
    _wait_until_ready(site, name)
    apply_node(site.folder / "kubeconfig", json.loads((folder / "manifest.json").read_text()))


def remove(site: Site, name: str) -> None:
    """Drains the node, ends its processes and removes all of it; absent is fine."""
    delete_node(site.folder / "kubeconfig", name, SECONDS_TO_DRAIN)
    folder = site.node_folder(name)
    _end(site.folder, name)
    if (folder / "node.json").exists():
        network.remove_address(site, json.loads((folder / "node.json").read_text())["address"])
    shutil.rmtree(folder, ignore_errors=True)


def start_all(site: Site) -> None:
    """Starts the nodes whose processes ended, after a crash."""
    for name in site.node_names():
        if process(site.folder, name).pid() is None:
            start(site, name)


def end_all(folder: Path) -> None:
    """Ends all processes of all nodes, recorded or not, and removes their control groups."""
    for record in folder.glob("node-*.pid"):
        BackgroundProcess(record.stem, folder).end()
    cgroups.remove(site_id(folder))


def _end(folder: Path, name: str) -> None:
    process(folder, name).end()
    cgroups.remove(f"{site_id(folder)}/{name}")


def _without_simulation(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without what kwok plays and the kubelet knows: CPUs and memory are those of this machine."""
    real = deepcopy(dict(manifest))
    del real["metadata"]["annotations"]
    amount = manifest["status"]["capacity"].get(GPU)
    gpus = {GPU: amount} if amount else {}
    real["status"] = {"capacity": gpus, "allocatable": gpus} if gpus else {}
    return real


def _command(site: Site, name: str) -> list[str]:
    """Joins the control groups, then the network, then becomes the one that waits for the node's first process."""
    groups = cgroups.create(node_files.group(site, name))
    machine = [sys.executable, str(MACHINE), str(site.node_folder(name))]
    then = shlex.join(network.inside(site, [*NAMESPACES, *machine]))
    join = [f"echo $$ > {shlex.quote(str(path))}" for path in groups]
    return ["/bin/sh", "-euc", "\n".join([*join, f"exec {then}"])]


def _wait_until_ready(site: Site, name: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_BE_READY
    while not _is_ready(site, name):
        running = process(site.folder, name)
        if running.pid() is None or time.monotonic() > deadline:
            what = "is not ready" if running.pid() else "ended"
            kubelet = BackgroundProcess("kubelet", site.node_folder(name))
            raise NodeNotReady(f"node {name} {what}:\n{running.last_words(6)}\n{kubelet.last_words()}")
        time.sleep(0.2)


def _is_ready(site: Site, name: str) -> bool:
    """Whether the kubelet that runs now says so: what an ended one said is older than its node's process."""
    started = int(process(site.folder, name).record.stat().st_mtime)
    found = {one["type"]: one for one in conditions(site.folder / "kubeconfig", name)}
    ready = found.get("Ready", {"status": "Unknown"})
    return ready["status"] == "True" and datetime.fromisoformat(ready["lastHeartbeatTime"]).timestamp() >= started
