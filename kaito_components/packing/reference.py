"""REGISTRY/REPOSITORY:TAG, taken apart. Called by the command."""

import ipaddress
import re
from dataclasses import dataclass

from kaito_components.errors import KaitoError

# Source: OCI Distribution Specification 1.1, "Pulling manifests": grammar of names and tags.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_FORM = re.compile(
    rf"(?P<host>localhost(?::\d+)?|[^/]+[.:][^/]*)/(?P<name>{_PART}(?:/{_PART})*):(?P<tag>\w[\w.-]{{0,127}})"
)


# Docker Hub's name in references, where its API answers, and how docker keeps its login.
# Source: github.com/distribution/reference, normalize.go; Docker CLI, registry.IndexServer.
HUB, HUB_API, HUB_LOGIN = "docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Reference:
    """Where an artefact goes."""

    host: str
    repository: str
    tag: str

    @property
    def api_host(self) -> str:
        """Where its registry answers."""
        return HUB_API if self.host == HUB else self.host

    @property
    def login_name(self) -> str:
        """Under which name docker keeps the login."""
        return HUB_LOGIN if self.host == HUB else self.host

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine."""
        name = re.sub(r":\d+$", "", self.host).strip("[]")
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"


def parse(text: str) -> Reference:
    """The reference.

    Raises:
        KaitoError: it is none, or has no tag.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise KaitoError(f"{text!r} must be REGISTRY/REPOSITORY:TAG, such as example.azurecr.io/models/phi:1")
    host, name = found["host"], found["name"]
    if host in (HUB, f"index.{HUB}"):
        host, name = HUB, name if "/" in name else f"library/{name}"
    return Reference(host, name, found["tag"])
