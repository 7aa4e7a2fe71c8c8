"""The machines of agent pools, as Nodes of the instance's Kubernetes. Called through `converge`.

The state says which machines there should be. `sync_machines` brings the cluster there, whoever calls it: the plugin
that made the pool, the next one if that was killed, or `python -m local_cloud status`.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_cloud.control_plane import Settings
from local_cloud.nodes import apply_node, delete_node, node_manifest
from local_cloud.providers.azure_native.ids import ResourceId
from local_cloud.providers.azure_native.pool_rules import TAINT, is_spot
from local_cloud.providers.azure_native.state import State, locked
from local_cloud.providers.azure_native.vm_sizes import find_vm_size
from local_cloud.providers.kubernetes.client import Unreachable

SPOT = "kubernetes.azure.com/scalesetpriority"
IMAGES = {"ubuntu": "AKSUbuntu-2204gen2containerd", "azurelinux": "AzureLinux-V3gen2"}


class ClusterUnreachable(Exception):
    """The instance's API server does not answer, so its nodes are not as the pools say."""


def sync_machines(instance_dir: Path) -> None:
    """Makes, changes and removes nodes until they are what the pools' last finished operations say.

    Raises:
        ClusterUnreachable: it does not answer; what is left is done by the next call.
    """
    folder = instance_dir / "azure"
    with _one_at_a_time(folder):
        with locked(folder) as state:
            wanted, known = wanted_machines(state), dict(state.machines)
        prints = {name: _fingerprint(manifest) for name, manifest in wanted.items()}
        if prints == known:
            return
        try:
            for name, manifest in wanted.items():
                if known.get(name) != prints[name]:
                    _apply(instance_dir, manifest)
                    known[name] = prints[name]
            for name in sorted(known.keys() - wanted.keys()):
                _delete(instance_dir, name)
                del known[name]
        except Exception as error:
            raise _translated(error) from error
        finally:
            with locked(folder) as state:
                state.machines = known


def _apply(instance_dir: Path, manifest: Mapping[str, Any]) -> None:
    if _has_real_nodes(instance_dir):
        from local_cloud.real import nodes, site

        nodes.apply(site.Site.load(instance_dir), manifest)
    else:
        apply_node(instance_dir / "kubeconfig", manifest)


def _delete(instance_dir: Path, name: str) -> None:
    if _has_real_nodes(instance_dir):
        from local_cloud.real import nodes, site

        nodes.remove(site.Site.load(instance_dir), name)
    else:
        delete_node(instance_dir / "kubeconfig", name)


def _has_real_nodes(instance_dir: Path) -> bool:
    settings = instance_dir / "settings.json"
    return settings.exists() and Settings.load(settings).has_real_nodes


def preload() -> None:
    """Imports what reads a kubeconfig, which takes a quarter of a second, ahead of its first use."""
    import kubernetes.client.configuration
    import kubernetes.config.kube_config  # noqa: F401


def wanted_machines(state: State) -> dict[str, dict[str, Any]]:
    """The Node manifest of each machine that should run, by name."""
    machines: dict[str, dict[str, Any]] = {}
    for resource in state.resources.values():
        id, running = ResourceId.parse(resource["id"]), resource["running"]
        if id.pool and running:
            for number in range(running["count"]):
                manifest = _machine(id, running, number, state.location(id))
                machines[manifest["metadata"]["name"]] = manifest
    return machines


def node_image_version(os_sku: str) -> str:
    """The image that machines of a pool start from."""
    return f"{IMAGES.get(os_sku.lower(), IMAGES['ubuntu'])}-202611.10.0"


def _machine(id: ResourceId, running: Mapping[str, Any], number: int, location: str) -> dict[str, Any]:
    size = find_vm_size(running["vmSize"])
    assert size is not None and id.pool is not None
    taints = [_taint(text) for text in running["nodeTaints"] or []]
    labels = {
        **(running["nodeLabels"] or {}),
        "kubernetes.azure.com/mode": str(running["mode"]).lower(),
        "kubernetes.azure.com/os-sku": str(running["osSKU"]),
        "kubernetes.azure.com/node-image-version": node_image_version(str(running["osSKU"])),
    }
    if is_spot(running):
        labels[SPOT] = "spot"
        taints.append({"key": SPOT, "value": "spot", "effect": "NoSchedule"})
    zones = running["availabilityZones"]
    return node_manifest(
        name=f"aks-{id.pool}-{id.digits}-vmss{_base36(number)}",
        pool=id.pool,
        cluster_id=str(id.cluster_id),
        vm_size=size.name,
        cpus=size.vcpus,
        memory_bytes=size.memory_bytes,
        gpus=size.gpus,
        region=location,
        labels=labels,
        taints=taints,
        zone=zones[number % len(zones)] if zones else None,
    )


def _taint(text: str) -> dict[str, str]:
    match = TAINT.fullmatch(text)
    assert match is not None, "pool_rules lets no other taint through"
    return {name: value for name, value in match.groupdict().items() if value}


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(digits[number // 36**place % 36] for place in range(5, -1, -1))


def _fingerprint(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def _translated(error: Exception) -> Exception:
    from kubernetes.config import ConfigException

    absent = isinstance(error, Unreachable | OSError | ConfigException)
    return ClusterUnreachable(str(error)) if absent else error


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "machines.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
