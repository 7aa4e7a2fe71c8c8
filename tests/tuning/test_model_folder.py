"""A model's folder with a file missing or damaged: named by its file, with 42, before anything is trained."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import read
from safetensors.torch import load_file, save_file

from tuning_image import tokenizing
from tuning_image.errors import UserError
from tuning_image.training import model

INDEX = "model.safetensors.index.json"
SHARD = "model-00002-of-00002.safetensors"


@pytest.fixture(scope="module")
def shards(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in two files of weights."""
    folder = tmp_path_factory.mktemp("shards") / "model"
    shutil.copytree(tiny_folder, folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {name: SHARD if name == "model.norm.weight" else SHARD.replace("2-of", "1-of") for name in weights}
    for part in set(parts.values()):
        save_file({name: weights[name] for name in weights if parts[name] == part}, folder / part, {"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": parts}))
    return folder


@pytest.fixture
def folder(shards: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(shards, tmp_path / "model")


def load(folder: Path, tmp_path: Path) -> None:
    """Tokenizer and weights, as a run does."""
    settings = read(tmp_path / "out", "d", model=folder)
    tokenizing.load(settings)
    model.load(settings, model.choose_precision(settings.config))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def of_another_kind(path: Path) -> None:
    path.write_text("[]")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", SHARD])
def test_a_missing_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        load(folder, tmp_path)


@pytest.mark.parametrize("damage", [cut, emptied, of_another_kind])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", INDEX, SHARD])
def test_a_damaged_file_is_named(folder: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(folder / name)
    with pytest.raises(UserError, match=f"{name} is damaged"):
        load(folder, tmp_path)


@pytest.mark.parametrize(("name", "said"), [("config.json", "model_type"), ("tokenizer.json", "no tokenizer")])
def test_a_file_that_says_nothing_is_a_user_error(folder: Path, tmp_path: Path, name: str, said: str) -> None:
    (folder / name).write_text("{}")
    with pytest.raises(UserError, match=said):
        load(folder, tmp_path)


def test_weights_without_one_of_the_tensors_are_refused(folder: Path, tmp_path: Path) -> None:
    index: Any = json.loads((folder / INDEX).read_text())
    del index["weight_map"]["model.norm.weight"]
    (folder / INDEX).write_text(json.dumps(index))
    (folder / SHARD).unlink()
    with pytest.raises(UserError, match=r"lack model\.norm\.weight"):
        load(folder, tmp_path)


@pytest.mark.parametrize("text", [None, "", "{"])
def test_a_model_is_trained_without_its_settings_for_answers(folder: Path, tmp_path: Path, text: str | None) -> None:
    (folder / "generation_config.json").unlink()
    if text is not None:
        (folder / "generation_config.json").write_text(text)
    load(folder, tmp_path)


def test_a_run_with_damaged_weights_ends_with_42_and_no_trace(
    folder: Path, tmp_path: Path, chats: Path, tune: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    cut(folder / SHARD)
    done = tune("--model", folder, "--data", chats, "--output", tmp_path / "out")
    assert done.returncode == 42 and f"{SHARD} is damaged" in done.stderr and "Traceback" not in done.stderr
