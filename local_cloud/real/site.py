"""The addresses, names and folders of one instance with real nodes. Read by everything in this package."""

import hashlib
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from local_cloud.control_plane import Settings
from local_cloud.real import packages
from local_cloud.toolchain import Toolchain

REGISTRY_PORT = 5000
FIRST_NODE = 10  # the lower addresses of the range are the host's, and the services'


@dataclass(frozen=True)
class Site:
    """Computed from the instance's folder, so that `down` finds what a crash left."""

    folder: Path
    settings: Settings

    @classmethod
    def load(cls, folder: Path) -> "Site":
        """The site of an instance that was brought up."""
        return cls(folder, Settings.load(folder / "settings.json"))

    @property
    def id(self) -> str:
        """Names the network link and the control group: other instances and checkouts have others."""
        return site_id(self.folder)

    @property
    def host_address(self) -> str:
        """This machine, as the nodes and pods see it; the API server listens there."""
        return self.settings.address

    @property
    def inner_address(self) -> str:
        """The other end of the link: routes into the cluster lead there, DNS and the registry answer there."""
        return self._address(2)

    @property
    def registry(self) -> str:
        """Host and port of the registry, as in an image's name."""
        return f"{self.inner_address}:{REGISTRY_PORT}"

    @property
    def prefix_length(self) -> int:
        return ipaddress.ip_network(self.settings.machine_range).prefixlen

    @property
    def kube(self) -> Path:
        """The folder of Kubernetes' programs."""
        return Toolchain().bin

    @property
    def environment(self) -> dict[str, str]:
        """What the programs of the site get."""
        return {"PATH": packages.search_path(), "HOME": str(self.folder)}

    def node_folder(self, name: str) -> Path:
        return self.folder / "nodes" / name

    def node_names(self) -> list[str]:
        """The nodes that were started and not removed."""
        return sorted(path.parent.name for path in (self.folder / "nodes").glob("*/node.json"))

    def free_node_address(self) -> str:
        """One that no other node has."""
        taken = {json.loads(path.read_text())["address"] for path in (self.folder / "nodes").glob("*/node.json")}
        last = ipaddress.ip_network(self.settings.machine_range).num_addresses - 1
        for number in range(FIRST_NODE, last):
            if (address := self._address(number)) not in taken:
                return address
        raise OSError(f"{self.settings.machine_range} has no free address for a node")

    def _address(self, number: int) -> str:
        return str(ipaddress.ip_network(self.settings.machine_range)[number])


def site_id(folder: Path) -> str:
    """At most 15 characters, as the name of a network link."""
    return f"kaito-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
