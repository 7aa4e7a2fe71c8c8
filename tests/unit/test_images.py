"""The Dockerfiles of our two images: what they must have, since a builder is not at hand in every test run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kaito_components.plan.runtime import VERSION
from local_cloud.images import Images
from serving_image import VERSION as SERVING_VERSION

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("*_image/Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_takes_another_base_and_runs_as_nobody_special(path: Path):
    steps = path.read_text().splitlines()
    assert "ARG BASE_IMAGE=python:3.11-slim-bookworm" in steps and "FROM ${BASE_IMAGE}" in steps
    assert "USER 1000" in steps and "requirements-images.lock" in path.read_text()
    uv = re.search(r"uv==([\d.]+)", (ROOT / "scripts/image-packages.sh").read_text())
    assert uv and f"UV_VERSION={uv[1]} " in (ROOT / "scripts/setup-images.sh").read_text()


def test_both_images_share_the_layer_with_pytorch():
    shared = {path.read_text().split("\nARG BASE_IMAGE", 1)[1].split("\n#", 1)[0] for path in DOCKERFILES}
    assert len(shared) == 1 and "Both images" in shared.pop()


def test_the_images_have_the_version_that_the_plan_names():
    assert all(f"ARG VERSION={VERSION}" in path.read_text() for path in DOCKERFILES)
    assert SERVING_VERSION == VERSION


@pytest.mark.parametrize("image", ["serving", "tuning"])
def test_an_image_installs_everything_that_its_code_imports(image: str):
    sections = re.split(r"^# (.*)\n", (ROOT / "requirements-images.in").read_text(), flags=re.MULTILINE)
    part = "".join(sections[sections.index(one) + 1] for one in ("Both images", image.capitalize()))
    installed = {name.replace("-", "_") for name in re.findall(r"^[A-Za-z0-9_-]+", part, re.MULTILINE)}
    code = "\n".join(path.read_text() for path in (ROOT / f"{image}_image").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
    foreign = imported - set(sys.stdlib_module_names) - {f"{image}_image"}
    with_others = {
        "starlette",
        "numpy",
        "opentelemetry",
        "httpcore",
        "ruamel",
    }  # of fastapi, torch, …-sdk, httpx, ….yaml
    assert foreign - with_others <= installed


def test_images_without_a_builder_say_so_in_one_sentence(tmp_path: Path):
    for tool in ("bash", "sed", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    command = ["bash", str(ROOT / "scripts" / "images.sh")]
    run = subprocess.run(command, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("images: none of docker, podman and buildah works here")


class Recorded(Images):
    """Built already; what buildah would be asked is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, ...]] = []

    def build(self, say: Any) -> list[str]:
        return ["localhost/kaito-serving:0.1.0-cpu", "localhost/kaito-tuning:0.1.0-cpu"]

    def run(self, *arguments: str) -> str:
        self.asked.append(arguments)
        return ""


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1:5000", True),
        ("localhost", True),
        ("[::1]:5", True),
        ("r.example.com", False),
        ("localhost.example.com", False),
    ],
)
def test_both_images_are_pushed_and_a_login_goes_in_the_clear_to_this_machine_alone(host: str, loopback: bool):
    images = Recorded()
    names = [f"{host}/team/kaito-{kind}:0.1.0-cpu" for kind in ("serving", "tuning")]
    assert images.push(f"{host}/team/", Path("/login.json"), print) == names
    assert [asked[-1] for asked in images.asked] == names
    assert all(("--tls-verify=false" in asked) == loopback and "/login.json" in asked for asked in images.asked)
