"""The files of a node: keys, and the configuration of containerd, its network and the kubelet. Called by nodes.py."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_cloud import authority, pki
from local_cloud.real import packages
from local_cloud.real.archive import busybox_image
from local_cloud.real.site import Site

PAUSE = "local-cloud.invalid/pause:1"
SLEEP = ["/bin/busybox", "sleep", "2147483647"]
RUN = "/run/node"  # where the node sees its folder (machine.py)
CAN_LOWER_OOM_SCORES = 1 << 24  # CAP_SYS_RESOURCE


def write(site: Site, name: str, address: str) -> None:
    """Writes the node's folder; node.json, which says that the node is there, comes last."""
    folder = site.node_folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    _write_keys(site, name, address, folder)
    busybox_image(packages.folder() / "bin/busybox", SLEEP).write(folder / "pause.tar", PAUSE)
    (folder / "containerd.toml").write_text(_containerd())
    registry = folder / "certs.d" / site.registry
    registry.mkdir(parents=True, exist_ok=True)
    (registry / "hosts.toml").write_text(
        f'server = "https://{site.registry}"\n[host."https://{site.registry}"]\n  ca = "{RUN}/registry.crt"\n'
    )
    shutil.copy(authority.certificate(), folder / "registry.crt")
    (folder / "cni").mkdir(exist_ok=True)
    (folder / "cni/pods.conflist").write_text(json.dumps(_network(site), indent=2))
    (folder / "resolv.conf").write_text(f"nameserver {site.inner_address}\n")
    (folder / "kubelet.yaml").write_text(json.dumps(_kubelet(site, name, address), indent=2))  # JSON is YAML
    description = {"name": name, "address": address, "kubelet": _command(site, name, address)}
    (folder / "node.new").write_text(json.dumps(description, indent=2))
    (folder / "node.new").rename(folder / "node.json")


def _write_keys(site: Site, name: str, address: str, folder: Path) -> None:
    authority = pki.Authority.load(site.folder / "pki", "ca")
    authority.server([name, address]).write(folder, "kubelet")
    (folder / "ca.crt").write_bytes(authority.credential.certificate)
    server = f"https://{site.host_address}:{site.settings.api_server_port}"
    identity = authority.client(f"system:node:{name}", ["system:nodes"])
    text = pki.kubeconfig(server, authority.credential.certificate, name, identity)
    pki.write_private(folder / "kubelet.kubeconfig", text.encode())


def _command(site: Site, name: str, address: str) -> Sequence[str]:
    return [
        str(site.kube / "kubelet"),
        f"--config={RUN}/kubelet.yaml",
        f"--kubeconfig={RUN}/kubelet.kubeconfig",
        f"--hostname-override={name}",
        f"--node-ip={address}",
    ]


def group(site: Site, name: str) -> str:
    """The node's control group."""
    return f"{site.id}/{name}"


def _kubelet(site: Site, name: str, address: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "healthzPort": 0,
        "authentication": {"x509": {"clientCAFile": f"{RUN}/ca.crt"}},
        "tlsCertFile": f"{RUN}/kubelet.crt",
        "tlsPrivateKeyFile": f"{RUN}/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{group(site, name)}",
        "clusterDNS": [site.inner_address],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{RUN}/resolv.conf",
        "failSwapOn": False,
        # The disk is this machine's: how full others have made it is no reason to evict pods or to remove images.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
    }


def _network(site: Site) -> dict[str, Any]:
    """Each pod has a link of its own, so that every packet passes kube-proxy's rules, also one to a pod beside it."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": site.settings.pod_range}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(site.folder / "pod-addresses"),
    }
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "mtu": 1500, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd() -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[{cri}]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = {"false" if _may_lower_oom_scores() else "true"}
[{cri}.cni]
  bin_dir = "{packages.folder()}/usr/lib/cni"
  conf_dir = "{RUN}/cni"
[{cri}.registry]
  config_path = "{RUN}/certs.d"
[{cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def _may_lower_oom_scores() -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) & CAN_LOWER_OOM_SCORES)
