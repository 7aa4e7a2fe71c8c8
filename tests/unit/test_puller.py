"""The script that takes /data out of an image's layers, run by a real shell and tar; only skopeo is a stand-in."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from kaito_components.manifests import pods


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What `skopeo copy … dir:` leaves: layers, the configuration, the manifest and a version."""
    folder = tmp_path / "image"
    folder.mkdir()
    layers = {"b2": ("./data/two", "data/both"), "d3": ("etc/other",), "a1": ("data/one", "data/both")}  # base first
    manifest = {"config": {"digest": "sha256:c0"}, "layers": [{"digest": f"sha256:{layer}"} for layer in layers]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "version").write_text("Directory Transport Version: 1.1")
    (folder / "c0").write_text("{}")
    for layer, inside in layers.items():
        (tmp_path / "file").write_text(layer * 5000)
        with tarfile.open(folder / layer, "w") as tar:
            for name in inside:
                tar.add(tmp_path / "file", name)
    return folder


def pull(tmp_path: Path, image: Path) -> subprocess.CompletedProcess[str]:
    """Runs the script of the init container."""
    skopeo = tmp_path / "bin" / "skopeo"
    skopeo.parent.mkdir(exist_ok=True)
    skopeo.write_text(f'#!/bin/sh\nfor last in "$@"; do :; done\ncp -r {image} "${{last#dir:}}"\n')
    skopeo.chmod(0o755)
    command = pods.image_puller("puller", "r.example.com/a:1", str(tmp_path / "target"), "v", ())["command"]
    environment = {"PATH": f"{skopeo.parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_data_of_all_layers_is_taken_and_nothing_else(tmp_path: Path, image: Path) -> None:
    assert pull(tmp_path, image).returncode == 0
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["both", "one", "two"]


def test_the_layers_do_not_stay_in_tmp_which_the_server_has_too(tmp_path: Path, image: Path) -> None:
    pull(tmp_path, image)
    assert not list(tmp_path.glob("tmp*"))


def test_a_file_of_a_later_layer_is_the_one_that_counts(tmp_path: Path, image: Path) -> None:
    pull(tmp_path, image)
    assert (tmp_path / "target" / "both").read_text() == "a1" * 5000


def test_a_damaged_layer_ends_the_pod_and_leaves_nothing(tmp_path: Path, image: Path) -> None:
    (image / "b2").write_bytes((image / "b2").read_bytes()[:3000])
    done = pull(tmp_path, image)
    assert done.returncode == 1 and "a layer is damaged" in done.stderr
    assert not (tmp_path / "target").exists() and not list(tmp_path.glob("tmp*"))


def test_an_image_without_data_is_named_and_leaves_nothing(tmp_path: Path, image: Path) -> None:
    for layer in ("a1", "b2"):
        (image / layer).write_bytes((image / "d3").read_bytes())
    done = pull(tmp_path, image)
    assert done.returncode == 1 and done.stderr == "puller: r.example.com/a:1: no layer has a folder /data\n"
    assert not (tmp_path / "target").exists()


def test_a_disk_that_fills_up_while_a_layer_is_unpacked_ends_the_pod(tmp_path: Path, image: Path) -> None:
    tar = tmp_path / "bin" / "tar"
    tar.parent.mkdir()
    full = 'case "$1" in -xf) echo "tar: No space left on device" >&2; exit 2;; esac'
    tar.write_text(f'#!/bin/sh\n{full}\nexec {shutil.which("tar")} "$@"\n')
    tar.chmod(0o755)
    done = pull(tmp_path, image)
    assert done.returncode == 2 and "No space left" in done.stderr and not (tmp_path / "target").exists()
