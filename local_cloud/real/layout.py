"""Images packed for containerd: an OCI layout that holds and packs each layer once. Called by node_images.py."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_cloud.images import Images

REFERENCE, NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"
BLOBS = Path("blobs", "sha256")


def write(images: Images, named: Mapping[str, Sequence[str]], layout: Path) -> None:
    """Brings a layout to these images; its index gives each image all of its names."""
    earlier = _whole_index(layout)
    _remove_others(layout, earlier)
    (layout / "index.json").unlink(missing_ok=True)
    packed: dict[str, dict[str, Any]] = {}
    for entry in earlier:
        packed |= _by_plain_digest(layout, entry)
    written = [_pack(images, name, layout, packed) for name in named]
    _remove_others(layout, written)
    entries = [
        {**entry, "annotations": {NAME: name}}
        for entry, all_names in zip(written, named.values(), strict=True)
        for name in all_names
    ]
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def _whole_index(layout: Path) -> list[dict[str, Any]]:
    """The entries of a layout that was written to its end; none of another one."""
    return [entry for entry in _entries(layout) if NAME in entry.get("annotations", {})]


def _entries(layout: Path) -> list[dict[str, Any]]:
    index = layout / "index.json"
    return list(_read(index)["manifests"]) if index.exists() else []


def _remove_others(layout: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Removes what no entry names: older images, and files that only stood for a layer."""
    kept = {_hex(one) for entry in entries for one in (entry, *_parts(layout, entry))}
    for old in blobs(layout / BLOBS) - kept:
        (layout / BLOBS / old).unlink()


def _pack(images: Images, name: str, layout: Path, packed: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Writes an image; its entry of an index. `packed` has the layers that lie there already, by their plain digests.

    buildah does not know them, and would pack gigabytes anew: for a plain layer it only looks for a file of its digest.
    """
    for digest, layer in packed.items():
        if not (place := layout / BLOBS / digest.removeprefix("sha256:")).exists():
            place.hardlink_to(layout / BLOBS / _hex(layer))
    images.run("push", "--quiet", "--compression-format", "zstd", "--compression-level", "1", name, f"oci:{layout}:new")
    (entry,) = (one for one in _entries(layout) if one.get("annotations", {}).get(REFERENCE) == "new")
    manifest = _read(layout / BLOBS / _hex(entry))
    manifest["layers"] = [packed.get(layer["digest"], layer) for layer in manifest["layers"]]
    content = json.dumps(manifest).encode()
    entry |= {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}
    (layout / BLOBS / _hex(entry)).write_bytes(content)
    packed |= _by_plain_digest(layout, entry)
    return dict(entry)


def _by_plain_digest(layout: Path, entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    config, *layers = _parts(layout, entry)
    return dict(zip(_read(layout / BLOBS / _hex(config))["rootfs"]["diff_ids"], layers, strict=True))


def _parts(layout: Path, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Configuration and layers of an image."""
    manifest = _read(layout / BLOBS / _hex(entry))
    return [manifest["config"], *manifest["layers"]]


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def blobs(folder: Path) -> set[str]:
    """The files of a folder that may not be there yet."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def _hex(described: Mapping[str, Any]) -> str:
    return str(described["digest"]).removeprefix("sha256:")
