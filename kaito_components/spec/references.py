"""Grammar of what a Workspace names: images, objects, labels, download addresses. Called by the rules.

Each function answers None, or a `Problem`: the code and the message of a finding.
"""

import ipaddress
import re
from urllib.parse import urlsplit

Problem = tuple[str, str]

# What a person is to replace: ACR_REPO_HERE, <your image>, YOUR_TOKEN. Source: KAITO's examples and documentation.
PLACEHOLDER = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)*_HERE|<[^<>]+>|\bYOUR_[A-Z_]+", re.ASCII)
_DNS_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
DNS_LABEL = re.compile(_DNS_PART)
DNS_SUBDOMAIN = re.compile(rf"{_DNS_PART}(?:\.{_DNS_PART})*")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
OBJECT_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")

# Source: the grammar of github.com/distribution/reference.
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_MAX_NAME = 255
_METADATA_HOSTS = {"metadata.google.internal", "metadata.google", "instance-data.ec2.internal"}


def image_problem(image: str) -> Problem | None:
    """Whether this is no image reference."""
    if PLACEHOLDER.search(image):
        text = "still holds a placeholder: put your registry, repository and tag there, the repository in lower case"
        return "placeholder", f"{image!r} {text}, for example myregistry.azurecr.io/phi-3-dolly:0.0.1"
    if reason := _image_reason(image):
        return "invalid-image", f"{image!r} is not an image reference: {reason}; write REGISTRY/REPOSITORY:TAG"
    return None


def _image_reason(image: str) -> str | None:
    rest, has_digest, digest = image.partition("@")
    if has_digest and not _digest(digest):
        return f"{digest!r} is not a digest such as sha256:..."
    name, has_tag, tag = rest.rpartition(":")
    if not has_tag or "/" in tag:  # the colon, if there is one, stands before a port
        name, tag = rest, "latest"
    if not _TAG.fullmatch(tag):
        return f"{tag!r} is not a tag"
    host, path = _split_host(name)
    if host is not None and not _HOST.fullmatch(host):
        return f"{host!r} is not the name of a registry"
    if len(name) > _MAX_NAME:
        return f"its name has {len(name)} characters, more than {_MAX_NAME}"
    if re.fullmatch("[0-9a-f]{64}", name):
        return "64 hexadecimal digits are an image's id, not its name"
    for part in path.split("/"):
        if not _REPOSITORY.fullmatch(part):
            cased = "; repository names are lower case" if part != part.lower() else ""
            return f"{part!r} cannot stand in a repository's name{cased}"
    return None


def _digest(digest: str) -> bool:
    algorithm, _, digits = digest.partition(":")
    wanted = _DIGEST_LENGTHS.get(algorithm)
    if wanted:
        return len(digits) == wanted and re.fullmatch("[0-9a-f]+", digits) is not None
    return _DIGEST.fullmatch(digest) is not None


def _split_host(name: str) -> tuple[str | None, str]:
    """Registry and repository: what stands before the first slash is a host if it looks like one."""
    first, slash, rest = name.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    return (first, rest) if is_host else (None, name)


def name_problem(name: str, what: str) -> Problem | None:
    """Whether no Kubernetes object can have this name (a DNS subdomain)."""
    if PLACEHOLDER.search(name):
        return "placeholder", f"{name!r} is still a placeholder: put the name of your {what} there"
    if len(name) > 253 or not DNS_SUBDOMAIN.fullmatch(name):
        text = "use at most 253 lower-case letters, digits, '-' and '.', a letter or digit first and last"
        return "invalid-name", f"{name!r} cannot be the name of a {what}: {text}"
    return None


def label_name_problem(name: str, what: str, length: int = 63, letter_first: bool = False) -> Problem | None:
    """Whether this is no DNS label."""
    if PLACEHOLDER.search(name):
        return "placeholder", f"{name!r} is still a placeholder: put the name of your {what} there"
    if len(name) > length or not DNS_LABEL.fullmatch(name) or (letter_first and name[0].isdigit()):
        first = "a letter first (its Service is named after it)" if letter_first else "no '-' first"
        text = f"use at most {length} lower-case letters, digits and '-', {first}, a letter or digit last"
        return "invalid-name", f"{name!r} cannot be the name of a {what}: {text}"
    return None


def key_problem(key: str) -> Problem | None:
    """Whether this can be no label's and no annotation's key: [DNS subdomain /] name."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not DNS_SUBDOMAIN.fullmatch(prefix)):
        return "invalid-label", f"{key!r} is not a key: what stands before '/' must be a DNS name in lower case"
    if len(name) > 63 or not _NAME.fullmatch(name):
        text = "use at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last"
        return "invalid-label", f"{key!r} is not a key: {text}"
    return None


def label_problem(key: str, value: str) -> Problem | None:
    """Whether this is no label."""
    if problem := key_problem(key):
        return problem
    if PLACEHOLDER.search(value):
        return "placeholder", f"{value!r} is still a placeholder: put your label's value there"
    if len(value) > 63 or (value and not _NAME.fullmatch(value)):
        text = "use at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last"
        return "invalid-label", f"{value!r} is not a label's value: {text}"
    return None


def url_problem(url: str) -> Problem | None:
    """Whether a tuning Job may not download from here. Source: KAITO 0.12 api/v1beta1/workspace_validation.go."""
    if PLACEHOLDER.search(url):
        return "placeholder", f"{url!r} still holds a placeholder: put the address of your data there"
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
        _ = parts.port
    except ValueError:
        return "invalid-url", f"{url!r} is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "invalid-url", f"{url!r} must be an http or https URL with a host"
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return "invalid-url", f"{url!r} holds white space; write %20 for a space"
    if _is_private(host):
        text = "points at this machine or into a private network; use an address on the internet, an image or a volume"
        return "private-url", f"{url!r} {text}"
    return None


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost") or host in _METADATA_HOSTS:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(address, "ipv4_mapped", None) or address
    return bool(inner.is_private or inner.is_loopback or inner.is_link_local or inner.is_unspecified)
