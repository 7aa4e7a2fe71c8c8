"""The wheel holds every package, the presets and the data files."""

import tomllib
from pathlib import Path
from typing import Any

from kaito_components.plan.runtime import VERSION

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def test_every_package_of_the_source_is_packed() -> None:
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "kaito_components").rglob("__init__.py")}
    assert folders and {".".join(folder.parts) for folder in folders} <= set(SETUPTOOLS["packages"])


def test_the_presets_are_packed_as_a_package() -> None:
    assert SETUPTOOLS["package-dir"]["kaito_components.model_presets"] == "presets"
    assert "kaito_components.model_presets" in SETUPTOOLS["packages"]


def test_every_data_file_is_packed() -> None:
    patterns = SETUPTOOLS["package-data"]
    packed = {path for glob in patterns["kaito_components"] for path in (ROOT / "kaito_components").glob(glob)}
    packed |= {path for glob in patterns["kaito_components.model_presets"] for path in (ROOT / "presets").glob(glob)}
    wanted = {*(ROOT / "kaito_components" / "data").iterdir(), *(ROOT / "presets").iterdir()}
    assert wanted and wanted <= packed


def test_our_images_have_the_version_of_the_package() -> None:
    assert PROJECT["project"]["version"] == VERSION
