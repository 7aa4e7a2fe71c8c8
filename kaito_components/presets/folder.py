"""A model's files on this machine: its folder, or config.json and the safetensors index. Called by the command."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kaito_components.errors import KaitoError
from kaito_components.presets.material import INDEX, Material, Weights, index_size, json_object, weights_of

_CONFIGS = ("config.json", "params.json")
_LICENSE = re.compile(r"\A---\n.*?^license:\s*(\S+)\s*$.*?^---$", re.DOTALL | re.MULTILINE)  # a model card's head


def read_local(model: str, paths: Iterable[Path], revision: str | None) -> Material:
    """The model from these files and folders.

    Raises:
        KaitoError: a file cannot be read, or config.json or the sizes of the weights are not among them.
    """
    files = [file for path in paths for file in ([*path.iterdir()] if path.is_dir() else [path]) if file.is_file()]
    config = _config(files)
    return Material(
        model=model,
        config=config,
        weights=_weights(files),
        revision=revision,
        license=_license(files),
        config_source="given",
        facts_source="given",
    )


def _config(files: list[Path]) -> dict[str, Any]:
    for name in _CONFIGS:
        for file in files:
            if file.name == name or (file.suffix == ".json" and file.name != INDEX and len(files) <= 2):
                return json_object(_text(file), str(file))
    raise KaitoError("no config.json among the files given; name it, or the folder that holds it, with --config")


def _weights(files: list[Path]) -> Weights:
    if found := weights_of({file.name: file.stat().st_size for file in files}):
        return found
    for file in files:
        if file.name == INDEX:
            return Weights(index_size(_text(file), str(file)), source="model-index")
    text = f"nothing tells how large the weights are; give {INDEX} with --config too, or the folder with the weights"
    raise KaitoError(text)


def _license(files: list[Path]) -> str | None:
    cards = [file for file in files if file.name == "README.md"]
    found = _LICENSE.search(_text(cards[0])) if cards else None
    return found[1] if found else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise KaitoError(f"{file}: cannot be read: {problem}") from None
