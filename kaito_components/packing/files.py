"""Which files of a folder are the model: what servers read, once. Called by the command.

Pickled weights (.bin, .pt) are never packed: they can hold code, and they are the same weights again.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from kaito_components.errors import KaitoError

BESIDE = (
    "*.json", "*.jinja", "*.model", "*.tiktoken", "tokenizer*", "vocab*", "merges.txt",  # configuration and tokenizer
    "*.py",  # of models that bring their own code
    "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*",  # what most licences want passed on
)  # fmt: skip
INDEX = "model.safetensors.index.json"
MISTRAL = "consolidated*.safetensors"  # the same weights under Mistral's names


@dataclass(frozen=True)
class Chosen:
    """Files in the order of their names, and the names of those that stay behind."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...] = ()


def choose(source: Path, load_format: str) -> Chosen:
    """The files of a model's folder, or of a .gguf file.

    Args:
        source: the folder, or one .gguf file.
        load_format: the preset's; `mistral` takes the files under Mistral's names.

    Raises:
        KaitoError: there are no weights, or not all of them.
    """
    if source.suffix == ".gguf" and source.is_file():
        return Chosen((source,))
    if not source.is_dir():
        raise KaitoError(f"{source}: there is no such folder, and no such .gguf file")
    there = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    weights = _safetensors(source, load_format) or _gguf(source)
    kinds = ("LICEN*", "NOTICE*") if weights[0].suffix == ".gguf" else BESIDE  # a .gguf file has all else inside
    beside = [path for path in there if any(path.match(kind) for kind in kinds) and path not in weights]
    chosen = tuple(sorted([*weights, *beside]))
    return Chosen(chosen, tuple(path.name for path in there if path not in chosen))


def _safetensors(folder: Path, load_format: str) -> list[Path]:
    found = sorted(folder.glob("*.safetensors"))
    under_mistrals = [path for path in found if path.match(MISTRAL)]
    others = [path for path in found if path not in under_mistrals]
    if load_format == "mistral" and under_mistrals:
        return under_mistrals
    index = folder / INDEX
    if not index.is_file():
        return others or under_mistrals
    try:
        named = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise KaitoError(f"{index}: cannot be read; download it again") from None
    for name in named:
        if not (folder / name).is_file():
            raise KaitoError(f"{folder / name}: is missing, though {INDEX} names it; download it again")
    return [folder / name for name in named]


def _gguf(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.gguf"))
    if not found:
        raise KaitoError(f"{folder}: has no .safetensors and no .gguf file; pickled weights (.bin, .pt) are not packed")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise KaitoError(f"{folder}: has {len(found)} .gguf files, {names}; give one of them as --from")
    return found
