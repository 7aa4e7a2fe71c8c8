"""Images as nodes get them: packed once, also when a later image stands on the same layers, or a run was killed."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from local_cloud.images import TOOLS, Images
from local_cloud.real import layout, node_images
from local_cloud.real.machine import SNAPSHOTS
from local_cloud.real.refusal import refusal

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or None in map(shutil.which, TOOLS), reason=f"needs root and {TOOLS}")


class Store(Images):
    """A store of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._write_storage()

    def build_on(self, base: str, file: str) -> str:
        """An image with one file more."""
        context = self.folder / file
        context.mkdir()
        (context / file).write_text(file * 100)
        (context / "Dockerfile").write_text(f"FROM {base}\nCOPY {file} /{file}\n")
        self.run("build", "--quiet", "--layers", "--timestamp", "0", "--tag", f"localhost/{file}:1", str(context))
        return f"localhost/{file}:1"


def layers(folder: Path, name: str) -> list[str]:
    """The digests of an image's layers, each of which is that of its file."""
    entries = json.loads((folder / "index.json").read_text())["manifests"]
    (entry,) = (one for one in entries if one["annotations"][layout.NAME] == name)
    blobs = folder / layout.BLOBS
    found = [one["digest"] for one in json.loads((blobs / entry["digest"][7:]).read_text())["layers"]]
    for digest in (entry["digest"], *found):
        assert f"sha256:{hashlib.sha256((blobs / digest[7:]).read_bytes()).hexdigest()}" == digest
    return found


def test_a_layer_is_packed_once_and_other_images_go(tmp_path: Path) -> None:
    store, folder = Store(tmp_path / "store"), tmp_path / "layout"
    first = store.build_on("scratch", "one")
    layout.write(store, {first: ["a"]}, folder)
    (below,) = layers(folder, "a")
    packed = (folder / layout.BLOBS / below[7:]).stat()
    second = store.build_on(first, "two")
    (folder / layout.BLOBS / ("0" * 64)).write_text("of a run that was killed")
    layout.write(store, {second: ["b", "c"], store.build_on("scratch", "three"): ["d"]}, folder)
    assert layers(folder, "b") == layers(folder, "c") and layers(folder, "b")[0] == below
    assert (folder / layout.BLOBS / below[7:]).stat().st_mtime_ns == packed.st_mtime_ns
    assert len(layers(folder, "d")) == 1
    assert len(layout.blobs(folder / layout.BLOBS)) == 4 + 3  # layers, configuration, manifest of each image
    store.remove()


def test_a_layout_of_a_run_that_was_killed_is_made_anew(tmp_path: Path) -> None:
    store, folder = Store(tmp_path / "store"), tmp_path / "layout"
    first = store.build_on("scratch", "one")
    store.run("push", "--quiet", first, f"oci:{folder}:new")
    layout.write(store, {first: ["a"]}, folder)
    assert len(layers(folder, "a")) == 1 and len(layout.blobs(folder / layout.BLOBS)) == 3
    store.remove()


@pytest.mark.skipif(bool(refusal()), reason=str(refusal()))
def test_containerd_unpacks_what_is_new_and_shares_the_packed_layers_of_its_first_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_images, "folder", lambda: tmp_path)
    store, generations = Store(tmp_path / "store"), [tmp_path / "first", tmp_path / "second"]
    first = store.build_on("scratch", "one")
    layout.write(store, {first: ["r.example.com/a:1"]}, tmp_path / "layout")
    node_images._make(generations[0], None)
    second = store.build_on(first, "two")
    layout.write(store, {first: ["r.example.com/a:1"], second: ["r.example.com/b:1"]}, tmp_path / "layout")
    node_images._make(generations[1], generations[0])
    unpacked = [{path.name for path in (one / SNAPSHOTS).glob("*/fs/*")} for one in generations]
    assert unpacked == [{"one"}, {"one", "two"}]
    packed = tmp_path / "layout" / layout.BLOBS
    for digest in layers(tmp_path / "layout", "r.example.com/a:1"):
        assert (generations[0] / node_images.CONTENT / digest[7:]).samefile(packed / digest[7:])
    store.remove()


@pytest.mark.skipif(bool(refusal()), reason=str(refusal()))
def test_an_image_that_changes_keeps_the_layers_that_it_still_has_and_only_those(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_images, "folder", lambda: tmp_path)
    store, generations = Store(tmp_path / "store"), [tmp_path / "first", tmp_path / "second"]
    kept = [f"kept{i}" for i in range(3)]
    below = "scratch"
    for file in kept:
        below = store.build_on(below, file)
    layout.write(store, {store.build_on(below, "old"): ["r.example.com/a:1"]}, tmp_path / "layout")
    node_images._make(generations[0], None)
    layout.write(store, {store.build_on(below, "new"): ["r.example.com/a:1"]}, tmp_path / "layout")
    node_images._make(generations[1], generations[0])
    unpacked = [{path.name for path in (one / SNAPSHOTS).glob("*/fs/*")} for one in generations]
    assert unpacked == [{*kept, "old"}, {*kept, "new"}]
    store.remove()
