"""Loopback ports and address ranges that nothing else uses. Called by instance.py."""

import ipaddress
import random
import socket
from collections.abc import Collection
from pathlib import Path

# Below the ports that the kernel hands out to clients, and below Kubernetes' node ports (30000-32767): a port keeps
# being free while its server is stopped for a moment.
PORTS = range(20000, 30000)
CLUSTER_RANGES = ("10.96.0.0/16", "10.196.0.0/16", "172.29.0.0/16", "192.168.240.0/20", "198.18.0.0/16")
REAL_BLOCKS = tuple(f"10.{second}.0.0/16" for second in range(200, 250))
LOOPBACK = "127.0.0.1"
POD_RANGES = ("10.244.0.0/16", "10.245.0.0/16", "172.30.0.0/16", "192.168.224.0/20", "198.19.0.0/16")


def free_ports(count: int, taken: Collection[int]) -> list[int]:
    """Ports on which nobody listens and that are not in `taken`."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if port not in taken and _is_free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def unrouted(candidates: Collection[str], routes: Path = Path("/proc/net/route"), taken: Collection[str] = ()) -> str:
    """The first range that is not `taken` and that this machine has no route into: nothing real is hidden."""
    routed = [*_routed(routes), *map(ipaddress.IPv4Network, taken)]
    for candidate in candidates:
        if not any(ipaddress.ip_network(candidate).overlaps(network) for network in routed):
            return candidate
    raise OSError(f"this machine has routes into, or instances in, every one of {', '.join(candidates)}")


def _routed(routes: Path) -> list[ipaddress.IPv4Network]:
    if not routes.exists():
        return []
    networks = []
    for line in routes.read_text().splitlines()[1:]:
        columns = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(columns[i]), "little") for i in (1, 7))
        if mask:  # the default route leads everywhere
            networks.append(ipaddress.IPv4Network((destination, mask.bit_count())))
    return networks
