"""The Dockerfiles of our two images: what they must have, since a builder is not at hand in every test run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kaito_components.plan.runtime import VERSION
from serving_image import VERSION as SERVING_VERSION

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("*_image/Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_takes_another_base_and_runs_as_nobody_special(path: Path):
    steps = path.read_text().splitlines()
    assert "ARG BASE_IMAGE=python:3.11-slim-bookworm" in steps and "FROM ${BASE_IMAGE}" in steps
    assert "USER 1000" in steps and "requirements-images.lock" in path.read_text()


def test_the_serving_image_has_the_version_that_the_plan_names():
    assert f"ARG VERSION={VERSION}" in (ROOT / "serving_image" / "Dockerfile").read_text()
    assert SERVING_VERSION == VERSION


def test_the_serving_image_installs_everything_that_its_code_imports():
    text = (ROOT / "requirements-images.in").read_text()
    part = text[text.index("# Both images") : text.index("# Tuning")]
    installed = {name.replace("-", "_") for name in re.findall(r"^[A-Za-z0-9_-]+", part, re.MULTILINE)}
    code = "\n".join(path.read_text() for path in (ROOT / "serving_image").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", code, re.MULTILINE))
    foreign = imported - set(sys.stdlib_module_names) - {"serving_image"}
    with_others = {"starlette", "numpy", "opentelemetry"}  # of fastapi, of torch, of opentelemetry-sdk
    assert foreign - with_others <= installed


def test_images_without_a_builder_say_so_in_one_sentence(tmp_path: Path):
    for tool in ("bash", "sed", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    command = ["bash", str(ROOT / "scripts" / "images.sh")]
    run = subprocess.run(command, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("images: none of docker, podman and buildah works here")
