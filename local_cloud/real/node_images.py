"""Our images on each node from its first second on, as a cloud's node images bring the images that they will need.

They are imported once into a containerd of their own. A new node has its databases as copies, its packed layers as hard
links, and its unpacked layers (150,000 files) by mounts that cannot be written (machine.py). Other images are
another folder, so that nodes which run keep theirs. Called by `python -m local_cloud images` and nodes.py.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_cloud.cache import cache_root
from local_cloud.go_build import BuildError, Say
from local_cloud.images import Images
from local_cloud.real import layout, packages
from local_cloud.real.layout import BLOBS
from local_cloud.real.machine import IMAGES, SNAPSHOTS, SNAPSHOTTER
from local_cloud.real.programs import ORAS, puller_toolchain

FIRST_BUILD_BYTES = 28 * 10**9  # images and what nodes have of them (images.COST), and room to work
REGISTRY = "local-cloud.invalid"  # no registry has this name: nodes find the images at home
BUILDS = ("cpu", "cu126", "cu132")  # all that a plan may ask for: what a GPU node stands for, its images do too
DEBIAN = {  # Debian's package in the place of an image that is in no registry that is reached here
    "skopeo": "mcr.microsoft.com/aks/skopeo:1.14.4-6",  # the puller of adapters and data
    "curl": f"{REGISTRY}/curl:1",  # asks a model from a pod
}
ORAS_NAME = "mcr.microsoft.com/oss/v2/oras-project/oras:v1.2.3"  # the puller of weights; built from its Go module
CONTAINERD = "containerd"
CONTENT = Path("io.containerd.content.v1.content", BLOBS)
# In namespaces of its own: $1 is containerd's folder, $2 the layout, and the rest its files that are imported. Images
# that are there step aside under other names, which hold their layers until the new images stand on them, and then go.
IMPORT = """
root=$1 layout=$2
shift 2
mount -t tmpfs none /run
echo 'disabled_plugins = ["io.containerd.grpc.v1.cri"]' >/run/config.toml
containerd --config /run/config.toml --root "$root" --log-level warn &
until [ -S /run/containerd/containerd.sock ]; do kill -0 $!; sleep 0.05; done
images() { ctr --namespace k8s.io images "$@"; }
aside=
for name in $(images list --quiet); do
    images tag "$name" "aside/${name#sha256:}"
    images remove "$name"
    aside="$aside aside/${name#sha256:}"
done
tar -C "$layout" -c "$@" | images import -
[ -z "$aside" ] || images remove --sync $aside
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
            for snapshot in (source / SNAPSHOTS).iterdir():
                (unfinished / SNAPSHOTS / snapshot.name).mkdir(parents=True)
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
        layout.write(images, named, folder() / "layout")
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


def _make(target: Path, older: Path | None) -> None:
    """A containerd with the layout's images, which begins with what an older one has."""
    packed, unfinished = folder() / "layout", folder() / "containerd.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if older:
        _link(*older.iterdir(), into=unfinished)
        _copy_databases(older, unfinished)
    new = sorted(layout.blobs(packed / BLOBS) - layout.blobs(unfinished / CONTENT))
    (unfinished / CONTENT).mkdir(parents=True, exist_ok=True)
    for name in new:  # what containerd finds it does not copy; one that begins with an older one's may not look
        (unfinished / CONTENT / name).hardlink_to(packed / BLOBS / name)
    _import(packed, ["oci-layout", "index.json", *(str(BLOBS / name) for name in new)], unfinished)
    unfinished.rename(target)


def _remove_unused(key: str) -> None:
    """Takes away what neither new nodes nor running ones have."""
    used = {link.readlink() for link in (cache_root() / "instances").glob(f"*/nodes/*/{IMAGES}")}
    for old in set(folder().glob(f"{CONTAINERD}-*")) - used - {_generation(key)}:
        shutil.rmtree(old)


def _import(packed: Path, files: Sequence[str], root: Path) -> None:
    started = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", IMPORT, "import"]
    command = [*started, str(root), str(packed), *files]
    done = subprocess.run(command, env={"PATH": packages.search_path()}, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"containerd does not take the images: {done.stderr.strip()[-1000:]}")


class _lock:
    """One at a time makes or takes the images."""

    def __enter__(self) -> None:
        self._file = (folder() / "lock").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()
