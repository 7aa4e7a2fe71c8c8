"""Files as an OCI artefact: one layer a file, titled with its name, as `oras pull` unpacks it. Called by the command.

The same files give the same digest: their names, contents and order count, no time, owner or machine.
Source: OCI Image Specification 1.1, "Guidelines for Artifact Usage"; ORAS, "Artifact Concepts" (title annotation).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kaito_components.packing.progress import Progress
from kaito_components.presets import Preset

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTEFACT_TYPE = "application/vnd.kaito-components.model.v1"
FILE_TYPE = "application/octet-stream"
EMPTY_TYPE, EMPTY = "application/vnd.oci.empty.v1+json", b"{}"
TITLE = "org.opencontainers.image.title"
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Blob:
    """Content by its digest: a file's, or a few bytes that are given."""

    digest: str
    size: int
    path: Path | None = None
    content: bytes = b""

    def pieces(self) -> Iterator[bytes]:
        """Its content; a file is never in memory as a whole."""
        if self.path is None:
            yield self.content
            return
        with self.path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


@dataclass(frozen=True)
class Artefact:
    """What is sent: blobs, then the manifest that names them."""

    blobs: tuple[Blob, ...]
    manifest: bytes

    @property
    def digest(self) -> str:
        return _digest(self.manifest)


def describe(files: Iterable[Path], preset: Preset, progress: Progress) -> Artefact:
    """Reads every file once."""
    layers = [_read(path, progress) for path in sorted(files, key=lambda path: path.name)]
    config = Blob(_digest(EMPTY), len(EMPTY), content=EMPTY)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTEFACT_TYPE,
        "config": _descriptor(EMPTY_TYPE, config),
        "layers": [
            _descriptor(FILE_TYPE, blob) | {"annotations": {TITLE: blob.path.name}} for blob in layers if blob.path
        ],
        "annotations": {"org.opencontainers.image.licenses": preset.license, "sh.kaito.model.name": preset.name},
    }
    unique = {blob.digest: blob for blob in [config, *layers]}
    return Artefact(tuple(unique.values()), json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode())


def _read(path: Path, progress: Progress) -> Blob:
    hashed, size = hashlib.sha256(), 0
    for piece in Blob("", 0, path).pieces():
        hashed.update(piece)
        size += len(piece)
        progress.add(len(piece))
    return Blob(f"sha256:{hashed.hexdigest()}", size, path)


def _descriptor(kind: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": kind, "digest": blob.digest, "size": blob.size}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
