"""Grammar of what a Workspace names: image references, object names, download addresses. Called by rules."""

import ipaddress
import re
from urllib.parse import urlsplit

PLACEHOLDER = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)*_HERE|<[^<>]+>|\bYOUR_[A-Z_]+")
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# Source: the grammar of github.com/distribution/reference.
_DOMAIN = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_PATH}(?::[\w][\w.-]{{0,127}})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{{32,}})?",
    re.ASCII,
)
METADATA_HOSTS = {"metadata.google.internal", "metadata.google", "instance-data.ec2.internal"}


def image_problem(image: str) -> tuple[str, str] | None:
    """(code, message) if this is no image reference."""
    if PLACEHOLDER.search(image):
        text = f"{image!r} still holds a placeholder; put the image's registry, repository and tag there, in lower case"
        return "placeholder", f"{text}, for example myregistry.azurecr.io/phi-3-dolly:0.0.1"
    if not IMAGE.fullmatch(image):
        text = f"{image!r} is not an image reference; write REGISTRY/REPOSITORY:TAG, the repository in lower case"
        return "invalid-image", text
    return None


def name_problem(name: str, what: str) -> tuple[str, str] | None:
    """(code, message) if no Kubernetes object can have this name."""
    if PLACEHOLDER.search(name):
        return "placeholder", f"{name!r} is still a placeholder; put the name of your {what} there"
    if len(name) > 253 or not DNS_SUBDOMAIN.fullmatch(name):
        text = f"{name!r} cannot be the name of a {what}: use lower-case letters, digits, '-' and '.'"
        return "invalid-name", text
    return None


def url_problem(url: str) -> tuple[str, str] | None:
    """(code, message) if a tuning Job may not download from here. Source: KAITO 0.12 workspace_validation.go."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        return "invalid-url", f"{url!r} is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "invalid-url", f"{url!r} must be an http or https URL with a host"
    private = host == "localhost" or host.endswith(".localhost") or host in METADATA_HOSTS
    try:
        address = ipaddress.ip_address(host)
        private = private or not address.is_global
    except ValueError:
        pass
    if private:
        return "private-url", f"{url!r} points into a private network; use an address on the internet, or a volume"
    return None
