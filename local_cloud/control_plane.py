"""The programs of one Kubernetes control plane: their files, their command lines, how to see that they are ready.

Called by instance.py. All of them run in the instance's folder, so paths on their command lines are relative.
"""

import ipaddress
import json
import os
import ssl
import sys
import time
import urllib.request
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local_cloud import pki
from local_cloud.network import CLUSTER_RANGES, LOOPBACK, POD_RANGES, REAL_BLOCKS, unrouted
from local_cloud.processes import BackgroundProcess

API_SERVER = "kube-apiserver"
FIRST = ("etcd", API_SERVER)
KWOK = "kwok"
NAMES = (*FIRST, "kube-controller-manager", "kube-scheduler", KWOK)
PORTS = "ports.yaml"
STAGES = Path(__file__).parent / "kwok"
SECONDS_TO_BE_READY = 120.0  # on a loaded machine; 8 s is usual
POLL_SECONDS = 0.1


class NotReady(Exception):
    """A program of the control plane ended or is not ready in time; the message ends with its last words."""


@dataclass(frozen=True)
class Settings:
    """What is chosen once per instance. kwok's port is on 127.0.0.1, the API server's on `address`."""

    api_server_port: int
    kwok_port: int
    service_range: str
    pod_range: str
    machine_range: str = ""  # of this machine and its real nodes; none of them: nodes are simulated

    @classmethod
    def choose(cls, ports: tuple[int, int]) -> "Settings":
        """Ranges that hide nothing of this machine's network."""
        return cls(*ports, service_range=unrouted(CLUSTER_RANGES), pod_range=unrouted(POD_RANGES))

    @classmethod
    def choose_real(cls, ports: tuple[int, int], taken: Collection[str]) -> "Settings":
        """The same for real nodes, whose ranges this machine gets routes into: no other instance has them."""
        block = ipaddress.ip_network(unrouted(REAL_BLOCKS, taken=taken))
        service_range, pod_range, machine_range, _ = block.subnets(prefixlen_diff=2)
        return cls(*ports, str(service_range), str(pod_range), str(machine_range))

    @property
    def has_real_nodes(self) -> bool:
        """Whether pods run in containers."""
        return bool(self.machine_range)

    @property
    def address(self) -> str:
        """Where the API server listens."""
        return str(ipaddress.ip_network(self.machine_range)[1]) if self.has_real_nodes else LOOPBACK

    @property
    def ranges(self) -> list[str]:
        """All that the instance has chosen."""
        return [chosen for chosen in (self.service_range, self.pod_range, self.machine_range) if chosen]

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Reads what `save` wrote."""
        return cls(**json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n")
        unfinished.rename(path)


@dataclass(frozen=True)
class ControlPlane:
    """The control plane in `folder`, made of the programs in `bin`."""

    folder: Path
    bin: Path
    settings: Settings

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{self.settings.address}:{self.settings.api_server_port}"

    @property
    def names(self) -> list[str]:
        """Those of `NAMES` that the instance needs: real nodes do without kwok."""
        return [name for name in NAMES if name != KWOK or not self.settings.has_real_nodes]

    @property
    def after_api_server(self) -> list[str]:
        """Those that start when the API server is ready."""
        return [name for name in self.names if name not in FIRST]

    def process(self, name: str) -> BackgroundProcess:
        """One of `NAMES`."""
        return BackgroundProcess(name, self.folder)

    def write_files(self) -> None:
        """Makes certificates, keys and kubeconfigs, unless they are there; and what kwok reads."""
        (self.folder / PORTS).write_text(json.dumps(_ports()))  # JSON is YAML
        for log in (STAGES / "logs").iterdir():
            link = self.folder / log.name
            link.unlink(missing_ok=True)
            link.symlink_to(log)
        if not (self.folder / "kubeconfig").exists():
            self._write_keys(self.folder / "pki")

    def _write_keys(self, keys: Path) -> None:
        keys.mkdir(exist_ok=True)
        authority = pki.Authority()
        authority.credential.write(keys, "ca")
        service_address = self.settings.service_range.replace(".0/", ".1/").partition("/")[0]
        inside = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        authority.server(["localhost", "127.0.0.1", self.settings.address, service_address, *inside]).write(
            keys, "apiserver"
        )
        authority.client("kube-apiserver-kubelet-client", ["system:masters"]).write(keys, "kubelet-client")
        authority.server(["localhost", "127.0.0.1"]).write(keys, "kwok")
        private, public = pki.key_pair()
        pki.write_private(keys / "service-accounts.key", private)
        (keys / "service-accounts.pub").write_bytes(public)
        users = {
            "controller-manager.kubeconfig": authority.client("system:kube-controller-manager"),
            "scheduler.kubeconfig": authority.client("system:kube-scheduler"),
            "kwok.kubeconfig": authority.client("kwok", ["system:masters"]),
            "kubeconfig": authority.client("admin", ["system:masters"]),  # last: its presence says that all is there
        }
        for name, credential in users.items():
            text = pki.kubeconfig(self.server, authority.credential.certificate, name, credential)
            pki.write_private(self.folder / name, text.encode())

    def start(self, names: Iterable[str]) -> None:
        """Starts those of the programs that do not run."""
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)}
        for name in names:
            self.process(name).start(self._command(name), environment)

    def wait_until_ready(self) -> None:
        """Waits for the API server.

        Raises:
            NotReady: it ended, or takes too long.
        """
        self._wait(f"{self.server}/readyz", FIRST)

    def wait_until_working(self) -> None:
        """Waits for kwok, and for the controllers' first work: no pod can be made before it."""
        if KWOK in self.names:
            self._wait(f"https://127.0.0.1:{self.settings.kwok_port}/healthz", self.names)
        self._wait(f"{self.server}/api/v1/namespaces/default/serviceaccounts/default", self.names)

    def is_ready(self) -> bool:
        """Whether the API server answers that it is ready."""
        return self._answers(f"{self.server}/readyz")

    def _wait(self, url: str, needed: Iterable[str]) -> None:
        deadline = time.monotonic() + SECONDS_TO_BE_READY
        while not self._answers(url):
            for name in needed:
                if self.process(name).pid() is None:
                    raise NotReady(f"{name} ended:\n{self.process(name).last_words()}")
            if time.monotonic() > deadline:
                words = "\n".join(self.process(name).last_words(4) for name in needed)
                raise NotReady(f"{url} was not ready after {SECONDS_TO_BE_READY:.0f} s:\n{words}")
            time.sleep(POLL_SECONDS)

    def _answers(self, url: str) -> bool:
        keys = self.folder / "pki"
        context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        context.load_cert_chain(keys / "kubelet-client.crt", keys / "kubelet-client.key")
        no_proxy, https = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        opener = urllib.request.build_opener(no_proxy, https)
        try:
            with opener.open(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _command(self, name: str) -> list[str]:
        arguments = {
            "etcd": self._etcd,
            API_SERVER: self._api_server,
            "kube-controller-manager": self._controller_manager,
            "kube-scheduler": self._scheduler,
            KWOK: self._kwok,
        }[name]()
        return [str(self.bin / name), *arguments]

    def _etcd(self) -> list[str]:
        # Sockets in the folder: no ports to choose, and nobody else can reach the store.
        peer = "unix://etcd-peer.sock:0"
        return [
            "--data-dir=etcd",
            "--listen-client-urls=unix://etcd.sock:0",
            "--advertise-client-urls=unix://etcd.sock:0",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _api_server(self) -> list[str]:
        # An endpoint may not have a loopback address, and simulated pods ask nobody.
        reconciler = "lease" if self.settings.has_real_nodes else "none"
        return [
            f"--bind-address={self.settings.address}",
            f"--advertise-address={self.settings.address}",
            f"--secure-port={self.settings.api_server_port}",
            f"--endpoint-reconciler-type={reconciler}",
            "--etcd-servers=unix://etcd.sock:0",
            f"--service-cluster-ip-range={self.settings.service_range}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--client-ca-file=pki/ca.crt",
            "--tls-cert-file=pki/apiserver.crt",
            "--tls-private-key-file=pki/apiserver.key",
            "--kubelet-certificate-authority=pki/ca.crt",
            "--kubelet-client-certificate=pki/kubelet-client.crt",
            "--kubelet-client-key=pki/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP,Hostname",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-account-key-file=pki/service-accounts.pub",
            "--service-account-signing-key-file=pki/service-accounts.key",
            "--profiling=false",
        ]

    def _controller_manager(self) -> list[str]:
        return [
            *self._client_of("controller-manager.kubeconfig"),
            "--use-service-account-credentials=true",
            "--service-account-private-key-file=pki/service-accounts.key",
            "--root-ca-file=pki/ca.crt",
            f"--cluster-cidr={self.settings.pod_range}",
            f"--service-cluster-ip-range={self.settings.service_range}",
        ]

    def _scheduler(self) -> list[str]:
        return self._client_of("scheduler.kubeconfig")

    def _client_of(self, kubeconfig: str) -> list[str]:
        return [
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _kwok(self) -> list[str]:
        configurations = [f"--config={path}" for path in (*sorted(STAGES.glob("*.yaml")), PORTS)]
        return [
            "--kubeconfig=kwok.kubeconfig",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-ip=127.0.0.1",
            f"--node-port={self.settings.kwok_port}",
            f"--server-address=127.0.0.1:{self.settings.kwok_port}",
            "--tls-cert-file=pki/kwok.crt",
            "--tls-private-key-file=pki/kwok.key",
            f"--cidr={self.settings.pod_range}",
            "--node-lease-duration-seconds=40",
            *configurations,
        ]


def _ports() -> dict[str, Any]:
    """kwok's configuration: each port of a simulated pod is answered by `simulated_server`."""
    command = [sys.executable, str(Path(__file__).with_name("simulated_server.py"))]
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterPortForward",
        "metadata": {"name": "simulated-containers"},
        "spec": {"forwards": [{"command": command}]},
    }
