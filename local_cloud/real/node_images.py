"""Our images on each node from its first second on, as a cloud's node images bring the images that they will need.

They are imported once into a containerd of their own. A new node has its databases as copies, its packed layers as hard
links, and its unpacked layers (150,000 files) by mounts that cannot be written (machine.py). Other images are another
folder, so that nodes which run keep theirs. Called by `python -m local_cloud images` and nodes.py.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_cloud.cache import cache_root
from local_cloud.go_build import BuildError, Say
from local_cloud.images import Images
from local_cloud.real import packages
from local_cloud.real.programs import ORAS, puller_toolchain

FIRST_BUILD_BYTES = 28 * 10**9  # images and what nodes have of them (images.COST), and room to work
REGISTRY = "local-cloud.invalid"  # no registry has this name: nodes find the images at home
BUILDS = ("cpu", "cu126", "cu132")  # all that a plan may ask for: what a GPU node stands for, its images do too
DEBIAN = {  # Debian's package in the place of an image that is in no registry that is reached here
    "skopeo": "mcr.microsoft.com/aks/skopeo:1.14.4-6",  # the puller of adapters and data
    "curl": f"{REGISTRY}/curl:1",  # asks a model from a pod
}
ORAS_NAME = "mcr.microsoft.com/oss/v2/oras-project/oras:v1.2.3"  # the puller of weights; built from its Go module
CONTAINERD, SNAPSHOTTER = "containerd", "io.containerd.snapshotter.v1.overlayfs"
IMAGES = "images"  # in a node's folder: where its unpacked layers are
# In namespaces of its own: $1 is containerd's folder, $2 the layout.
IMPORT = """
mount -t tmpfs none /run
containerd --config /dev/null --root "$1" --log-level warn &
until [ -S /run/containerd/containerd.sock ]; do kill -0 $!; sleep 0.05; done
tar -C "$2" -c . | ctr --namespace k8s.io images import -
kill $!
wait $! || true
"""


def folder() -> Path:
    return cache_root() / "node-images"


def ready() -> Path | None:
    """The folder of the containerd that has the newest images; None: there are none."""
    record = folder() / "key"
    made = _generation(record.read_text()) if record.exists() else None
    return made if made and made.exists() else None


def no_room() -> str | None:
    """Why they are not built on this machine, if it lacks the disk for the first time."""
    folder().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder()).free
    if ready() or free >= FIRST_BUILD_BYTES:
        return None
    return (
        f"images need {FIRST_BUILD_BYTES / 1e9:.0f} GB of disk the first time, {cache_root()} has {free / 1e9:.0f} GB "
        "free: make room, or set KAITO_CACHE to a larger disk"
    )


def _generation(key: str) -> Path:
    return folder() / f"{CONTAINERD}-{key[:12]}"


def give(node: Path) -> None:
    """Puts the images into the folder of a node that has not run yet; without images, nothing."""
    target, unfinished = node / CONTAINERD, node / "containerd.new"
    if target.exists() or not folder().exists():
        return
    with _lock():  # waits while they are changed
        if source := ready():
            (node / IMAGES).unlink(missing_ok=True)
            (node / IMAGES).symlink_to(source)  # keeps them
            shutil.rmtree(unfinished, ignore_errors=True)
            (unfinished / SNAPSHOTTER).mkdir(parents=True)
            _link(*(part for part in source.iterdir() if part.name != SNAPSHOTTER), into=unfinished)
            for snapshot in (source / SNAPSHOTTER / "snapshots").iterdir():
                (unfinished / SNAPSHOTTER / "snapshots" / snapshot.name).mkdir(parents=True)
            _copy_databases(source, unfinished)
            unfinished.rename(target)


def _link(*folders: Path, into: Path) -> None:
    subprocess.run(["cp", "--archive", "--link", *map(str, folders), str(into)], check=True)


def _copy_databases(source: Path, target: Path) -> None:
    """Files that are written in place, unlike all others."""
    for database in source.glob("*/*.db"):
        own = target / database.relative_to(source)
        own.unlink(missing_ok=True)
        shutil.copy2(database, own)


def prepare(images: Images, say: Say) -> list[str]:
    """Builds our images and the pullers', and imports them unless the same are there; the names that nodes have.

    Raises:
        BuildError: a step failed.
    """
    packages.ensure(say)
    named = {name: names_of(name) for name in images.build(say)}
    named |= {images.build_package(package): [name] for package, name in DEBIAN.items()}
    named[images.build_program(puller_toolchain().build(say) / ORAS)] = [ORAS_NAME]
    key, known = _key(images, named), [name for names in named.values() for name in names]
    folder().mkdir(parents=True, exist_ok=True)
    with _lock():
        if ready() == _generation(key):
            return known
        say("images: unpacking them as nodes keep them (two minutes the first time, then what has changed)")
        _write_layout(images, named, folder() / "layout")
        _make(_generation(key), ready())
        (folder() / "key").write_text(key)
        _remove_unused(key)
    return known


def names_of(name: str) -> list[str]:
    """The names that plans give an image: PyPI's PyTorch is that of the current CUDA and runs without a GPU."""
    image = name.rsplit("/", 1)[-1].removesuffix("-cpu")
    return [f"{REGISTRY}/{image}-{build}" for build in BUILDS]


def _key(images: Images, named: Mapping[str, Sequence[str]]) -> str:
    ids = {name: images.run("images", "--quiet", "--no-trunc", name).strip() for name in named}
    return hashlib.sha256(json.dumps([ids, named, sorted(packages.UNPACKED)]).encode()).hexdigest()


def _write_layout(images: Images, named: Mapping[str, Sequence[str]], layout: Path) -> None:
    """An OCI layout that holds every layer once; its index gives each image all of its names."""
    (layout / "index.json").unlink(missing_ok=True)
    for number, name in enumerate(named):  # a layer that lies there already is not packed again
        options = ["--quiet", "--compression-format", "zstd", "--compression-level", "1"]
        images.run("push", *options, name, f"oci:{layout}:{number}")
    index = json.loads((layout / "index.json").read_text())
    entries = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry for entry in index["manifests"]}
    index["manifests"] = [
        _named(entries[str(number)], name) for number, names in enumerate(named.values()) for name in names
    ]
    (layout / "index.json").write_text(json.dumps(index))
    blobs, kept = layout / "blobs" / "sha256", set[str]()
    for entry in entries.values():
        manifest = json.loads((blobs / _hex(entry)).read_text())
        kept |= {_hex(one) for one in (entry, manifest["config"], *manifest["layers"])}
    for old in {path.name for path in blobs.iterdir()} - kept:
        (blobs / old).unlink()


def _hex(described: Mapping[str, Any]) -> str:
    return str(described["digest"]).removeprefix("sha256:")


def _named(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**entry, "annotations": {"io.containerd.image.name": name}}


def _make(target: Path, older: Path | None) -> None:
    """A containerd with the layout's images, which begins with what an older one has."""
    unfinished = folder() / "containerd.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if older:
        _link(*older.iterdir(), into=unfinished)
        _copy_databases(older, unfinished)
    _import(folder() / "layout", unfinished)
    unfinished.rename(target)


def _remove_unused(key: str) -> None:
    """Takes away what neither new nodes nor running ones have."""
    used = {link.readlink() for link in (cache_root() / "instances").glob(f"*/nodes/*/{IMAGES}")}
    for old in set(folder().glob(f"{CONTAINERD}-*")) - used - {_generation(key)}:
        shutil.rmtree(old)


def _import(layout: Path, root: Path) -> None:
    started = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", IMPORT, "import"]
    done = subprocess.run(
        [*started, str(root), str(layout)], env={"PATH": packages.search_path()}, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise BuildError(f"containerd does not take the images: {done.stderr.strip()[-1000:]}")


class _lock:
    """One at a time makes or takes the images."""

    def __enter__(self) -> None:
        self._file = (folder() / "lock").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()
