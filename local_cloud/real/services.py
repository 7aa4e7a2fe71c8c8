"""What runs once per instance beside its nodes: the registry, DNS and kube-proxy. Called by Instance.up."""

import base64
import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local_cloud import pki
from local_cloud.authority import registry_authority
from local_cloud.processes import BackgroundProcess
from local_cloud.real import network
from local_cloud.real.programs import COREDNS, real_toolchain
from local_cloud.real.site import Site

REGISTRY = "registry"
KUBE_PROXY = "kube-proxy"
NAMES = (REGISTRY, COREDNS, KUBE_PROXY)
USER = "local"
DNS_USER = "coredns"


@dataclass(frozen=True)
class Login:
    """Who may pull from and push to the registry."""

    server: str
    username: str
    password: str


def login(site: Site) -> Login:
    """What `write_files` has chosen."""
    return Login(**json.loads((site.folder / "registry.json").read_text()))


def auth_file(folder: Path) -> Path:
    """The login as docker's clients, buildah and imagePullSecrets have it."""
    return folder / "docker" / "config.json"


def write_files(site: Site) -> None:
    """Makes keys, login and configurations, unless they are there."""
    authority = pki.Authority.load(site.folder / "pki", "ca")
    server = f"https://{site.host_address}:{site.settings.api_server_port}"
    users = {
        "kube-proxy.kubeconfig": authority.client("system:kube-proxy"),
        "coredns.kubeconfig": authority.client(DNS_USER, ["system:masters"]),
    }
    for name, credential in users.items():
        if not (site.folder / name).exists():
            text = pki.kubeconfig(server, authority.credential.certificate, name, credential)
            pki.write_private(site.folder / name, text.encode())
    (site.folder / "Corefile").write_text(_corefile(site))
    if not (site.folder / "registry.json").exists():
        _write_registry(site)


def start_first(site: Site) -> None:
    """Starts what the nodes need."""
    BackgroundProcess(REGISTRY, site.folder).start(
        network.inside(site, ["docker-registry", "serve", "registry.yaml"]), site.environment
    )
    coredns = str(real_toolchain().bin / COREDNS)
    BackgroundProcess(COREDNS, site.folder).start(
        network.inside(site, [coredns, "-conf", "Corefile"]), site.environment
    )


def start_proxy(site: Site) -> None:
    """Starts kube-proxy, which asks for the address of a node of its own: any does."""
    command = [
        str(site.kube / KUBE_PROXY),
        "--kubeconfig=kube-proxy.kubeconfig",
        f"--hostname-override={site.node_names()[0]}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={site.settings.pod_range}",
        # Limits of this machine's connection table, which is not the instance's
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--iptables-min-sync-period=0s",
    ]
    BackgroundProcess(KUBE_PROXY, site.folder).start(network.inside(site, command), site.environment)


def end(folder: Path) -> None:
    """Ends all of them."""
    for name in NAMES:
        BackgroundProcess(name, folder).end()


def _corefile(site: Site) -> str:
    return f""".:53 {{
    bind {site.inner_address}
    errors
    health 127.0.0.1:8080
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {site.folder}/coredns.kubeconfig
        ttl 5
    }}
    cache 5
    reload
}}
"""


def _write_registry(site: Site) -> None:
    password = secrets.token_urlsafe(18)
    command = ["mkpasswd", "--method=bcrypt", "--rounds=5", "--stdin"]
    hashed = subprocess.run(
        command, input=password, env=site.environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    pki.write_private(site.folder / "registry.htpasswd", f"{USER}:{hashed}\n".encode())
    registry_authority().server([site.inner_address]).write(site.folder, "registry")
    configuration = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": "registry"}, "delete": {"enabled": True}},
        "http": {
            "addr": site.registry,
            "secret": secrets.token_urlsafe(18),
            "tls": {"certificate": "registry.crt", "key": "registry.key"},
        },
        "auth": {"htpasswd": {"realm": "local-cloud", "path": "registry.htpasswd"}},
    }
    pki.write_private(site.folder / "registry.yaml", json.dumps(configuration).encode())  # JSON is YAML
    auth_file(site.folder).parent.mkdir(exist_ok=True)
    key = base64.b64encode(f"{USER}:{password}".encode()).decode()
    pki.write_private(auth_file(site.folder), json.dumps({"auths": {site.registry: {"auth": key}}}).encode())
    chosen = {"server": site.registry, "username": USER, "password": password}
    pki.write_private(site.folder / "registry.json", json.dumps(chosen).encode())  # last: says that all is there
