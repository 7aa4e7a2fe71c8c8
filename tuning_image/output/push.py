"""The adapter as an OCI image, pushed: its files under /data, as KAITO lays them out. Called by run.

The same files give the same digest: no times, owners or order of the file system get into the layer.
Source of the layout: KAITO 0.12 pkg/workspace/image/pusher.sh.
"""

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tuning_image.errors import UserError
from tuning_image.output.registry import MANIFEST_TYPE, Registry, encode_login

FILES = ("adapter_config.json", "adapter_model.safetensors")
TEMPLATE = "chat_template.jinja"  # that it was trained with: the serving image of this project asks in it
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MODEL_ANNOTATION = "sh.kaito.model.name"
# Docker Hub answers at another name than it has in references, and docker keeps its login under a third one.
# Source: github.com/distribution/reference, normalize.go; Docker CLI, registry.IndexServer.
API, LOGINS = {"docker.io": "registry-1.docker.io"}, {"docker.io": "index.docker.io"}
REFERENCE = re.compile(r"(?P<host>[^/]+[.:][^/]*|localhost)/(?P<name>[a-z0-9._/-]+)(:(?P<tag>[\w][\w.-]{0,127}))?")


def check(image: str) -> re.Match[str]:
    """The reference, taken apart; called before training, so that a slip costs seconds.

    Raises:
        UserError: If it names no registry or has a digest.
    """
    found = REFERENCE.fullmatch(image)
    if not found:
        raise UserError(
            f"--push-image {image}: must be REGISTRY/NAME:TAG, for example example.azurecr.io/adapters/my:1"
        )
    return found


def push(adapter: Path, image: str, model: str, environment: Mapping[str, str], plain_http: bool) -> str:
    """Pushes; the digest of the image.

    Raises:
        UserError: If the login is missing or refused.
        TryAgainError: If the registry fails again and again.
    """
    found = check(image)
    tar = _tar(adapter)
    layer = gzip.compress(tar, compresslevel=6, mtime=0)
    config = _json({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]}})
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config),
            "layers": [_descriptor(LAYER_TYPE, layer)],
            "annotations": {MODEL_ANNOTATION: model},
        }
    )
    host = found["host"]
    with closing(Registry(API.get(host, host), found["name"], login(host, environment), plain_http)) as registry:
        for content in (layer, config):
            registry.push_blob(_digest(content), content)
        registry.push_manifest(found["tag"] or "latest", manifest)
    return _digest(manifest)


def login(host: str, environment: Mapping[str, str]) -> str | None:
    """The registry's login in $DOCKER_CONFIG/config.json, as docker and Kubernetes write it.

    Raises:
        UserError: If the file is damaged.
    """
    path = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    if not path.is_file():
        return None
    try:
        logins = json.loads(path.read_text())["auths"]
    except (ValueError, KeyError, OSError):
        raise UserError(f"{path}: is no docker configuration with auths; make the Secret anew") from None
    for name, entry in logins.items():
        if re.sub(r"^https?://|/.*$", "", name) in (host, LOGINS.get(host)):
            return entry.get("auth") or encode_login(entry.get("username", ""), entry.get("password", ""))
    return None


def _tar(adapter: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folder = tarfile.TarInfo("data")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name in (*FILES, *([TEMPLATE] if (adapter / TEMPLATE).is_file() else [])):
            content = (adapter / name).read_bytes()
            entry = tarfile.TarInfo(f"data/{name}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
