"""Everything that an instance with real nodes has besides its control plane. Called by Instance.up, down and status."""

import shutil
from pathlib import Path

from local_cloud.authority import certificate
from local_cloud.control_plane import Settings
from local_cloud.go_build import Say
from local_cloud.real import network, nodes, packages, services
from local_cloud.real.programs import real_toolchain
from local_cloud.real.refusal import refusal
from local_cloud.real.site import Site

__all__ = [
    "end",
    "environment",
    "prepare",
    "process_names",
    "refusal",
    "start_network",
    "start_nodes",
    "start_services",
]


def prepare(say: Say) -> None:
    """Gets the programs.

    Raises:
        BuildError: one cannot be had.
    """
    packages.ensure(say)
    real_toolchain().build(say)


def start_network(folder: Path, settings: Settings) -> None:
    """Makes the network. What is left of an earlier one that broke cannot be used: it ends first."""
    site = Site(folder, settings)
    if not network.is_up(site):
        end(folder)
        shutil.rmtree(folder / "pod-addresses", ignore_errors=True)  # of pods that are gone
    network.create(site)


def start_services(folder: Path, settings: Settings) -> None:
    """Starts the registry and DNS."""
    site = Site(folder, settings)
    services.write_files(site)
    services.start_first(site)


def start_nodes(folder: Path, settings: Settings) -> None:
    """Starts nodes that a crash ended, then kube-proxy."""
    site = Site(folder, settings)
    nodes.start_all(site)
    services.start_proxy(site)


def end(folder: Path) -> None:
    """Ends all of it, whatever is left; files stay."""
    nodes.end_all(folder)
    services.end(folder)
    network.remove(folder)


def environment(folder: Path) -> dict[str, str]:
    """What a shell needs for the registry."""
    return {
        "KAITO_LOCAL_REGISTRY": Site.load(folder).registry,
        "KAITO_LOCAL_CERTS": str(certificate().parent),
        "REGISTRY_AUTH_FILE": str(services.auth_file(folder)),
    }


def process_names(folder: Path) -> list[str]:
    """Names of the background processes."""
    return [network.HOLDER, *services.NAMES, *(f"node-{name}" for name in Site.load(folder).node_names())]
