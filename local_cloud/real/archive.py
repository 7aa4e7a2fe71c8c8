"""Container images made of busybox, as OCI archives. Called by nodes.py for the pause image, and by tests."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COMMANDS = (
    "sh",
    "mkdir",
    "cat",
    "echo",
    "sleep",
    "id",
    "ls",
    "env",
    "wget",
    "httpd",
    "nslookup",
    "nc",
    "test",
    "true",
    "touch",
)
NOBODY = 65534


def busybox_image(busybox: Path, command: Sequence[str]) -> "Image":
    """An image whose commands are all the one static program; it runs as nobody."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add_folder(tar, "bin", 0o755)
        _add_file(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        for name in COMMANDS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _add_folder(tar, "etc", 0o755)
        _add_file(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", 0o644)
        _add_folder(tar, "tmp", 0o1777)
    return Image(layer.getvalue(), command)


class Image:
    """One layer, its configuration and its manifest. The same files give the same digest."""

    def __init__(self, layer: bytes, command: Sequence[str]) -> None:
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": str(NOBODY), "Env": ["PATH=/bin"], "Entrypoint": list(command)},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        self.blobs: dict[str, bytes] = {}
        packed = gzip.compress(layer, mtime=0)
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": self._keep(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
                "layers": [self._keep(packed, "application/vnd.oci.image.layer.v1.tar+gzip")],
            }
        ).encode()

    def _keep(self, content: bytes, media_type: str) -> dict[str, Any]:
        self.blobs[_digest(content)] = content
        return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}

    def write(self, archive: Path, name: str) -> None:
        """Writes an OCI archive that `ctr images import` takes as the image `name`."""
        described = {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": _digest(self.manifest),
            "size": len(self.manifest),
            "annotations": {"io.containerd.image.name": name},
        }
        files: Mapping[str, bytes] = {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [described]}).encode(),
            **{
                f"blobs/{d.replace(':', '/')}": c
                for d, c in {**self.blobs, _digest(self.manifest): self.manifest}.items()
            },
        }
        unfinished = archive.with_suffix(".new")
        with tarfile.open(unfinished, "w") as tar:
            for path, content in files.items():
                _add_file(tar, path, content, 0o644)
        unfinished.rename(archive)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _add_folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode = tarfile.DIRTYPE, mode
    tar.addfile(folder)


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    file = tarfile.TarInfo(name)
    file.size, file.mode = len(content), mode
    tar.addfile(file, io.BytesIO(content))
