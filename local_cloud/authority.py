"""The authority behind the registries of this machine's local clouds, which the images that are built here trust.

As a company's: its certificate is in the images' base, and so pushes and pulls go over https as they do to Azure's
registry. Called by images.py, and by real/ for the registry and the nodes.
"""

import fcntl
from pathlib import Path

from local_cloud import pki
from local_cloud.cache import cache_root

NAME = "registries"


def registry_authority() -> pki.Authority:
    """The authority, made at first use. Its key stays in the cache, readable by its owner only."""
    folder = cache_root() / "authority"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not certificate().exists():
            made = pki.Authority().credential
            made.write(folder, NAME)
            certificate().parent.mkdir(exist_ok=True)
            certificate().write_bytes(made.certificate)  # last: says that all is there
    return pki.Authority.load(folder, NAME)


def certificate() -> Path:
    """Its certificate, alone in a folder that buildah and skopeo take as `--cert-dir`."""
    return cache_root() / "authority" / "trusted" / "ca.crt"
