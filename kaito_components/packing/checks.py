"""What must be right with a model's files before gigabytes of them are sent. Called by the command."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kaito_components.errors import KaitoError
from kaito_components.presets import Preset
from kaito_components.presets.licenses import license_of

NUMBERS = {"hidden_size": "hidden_size", "num_hidden_layers": "layers", "vocab_size": "vocabulary_size"}
LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


def check_license(preset: Preset, is_private: bool) -> None:
    """That the weights may be passed on, or are not.

    Raises:
        KaitoError: the licence forbids it, or nobody knows, and the registry is not private.
    """
    if preset.redistributable or is_private:
        return
    found = license_of(preset.license)
    reason = (
        "lets nobody else publish the weights" if preset.redistributable is False else "is one that nobody has read"
    )
    terms = f" ({found.terms}; {found.source})" if found.source else ""
    raise KaitoError(
        f"{preset.name}: its licence {preset.license} {reason}{terms}; "
        "if nobody but you can pull from this registry, say --private-registry"
    )


def check_files(files: Iterable[Path], preset: Preset) -> None:
    """That every file can be read and is whole, and that the configuration is the preset's.

    Raises:
        KaitoError: the first that is not.
    """
    by_name = {path.name: path for path in files}
    for path in by_name.values():
        if path.suffix == ".safetensors":
            _check_safetensors(path)
        elif path.suffix == ".gguf" and _head(path, 4) != b"GGUF":
            raise KaitoError(f"{path}: is no GGUF file; download it again")
    if config := by_name.get("config.json"):
        _check_config(config, preset)
    elif any(name.endswith(".safetensors") for name in by_name) and preset.load_format != "mistral":
        raise KaitoError("config.json is missing; this is no folder of a Hugging Face model")


def _check_config(path: Path, preset: Preset) -> None:
    try:
        config = json.loads(path.read_text())
        architectures = [str(one) for one in config.get("architectures") or ()]
    except (OSError, ValueError, AttributeError, TypeError):
        raise KaitoError(f"{path}: cannot be read as a model's configuration") from None
    wrong = []
    if architectures and not set(architectures) & set(preset.architectures):
        wrong.append(f"architectures {', '.join(architectures)} instead of {', '.join(preset.architectures)}")
    for key, name in NUMBERS.items():
        known = getattr(preset, name)
        if key in config and known is not None and config[key] != known:
            wrong.append(f"{key} {config[key]} instead of {known}")
    if wrong:
        raise KaitoError(f"{path}: is not {preset.name}'s: {'; '.join(wrong)}")


def _check_safetensors(path: Path) -> None:
    """The header says how long the file is. Source: safetensors' README, "Format"."""
    size, length = path.stat().st_size, int.from_bytes(_head(path, 8), "little")
    header = _header(path, length) if 2 <= length <= min(LONGEST_HEADER, size - 8) else None
    try:
        ends = [value["data_offsets"][1] for name, value in (header or {}).items() if name != "__metadata__"]
    except (KeyError, IndexError, TypeError):
        ends = []
    if not ends:
        raise KaitoError(f"{path}: is no safetensors file, or its beginning is damaged; download it again")
    if size != (wanted := 8 + length + max(ends)):
        raise KaitoError(f"{path}: has {size} bytes instead of {wanted}: it is cut; download it again")


def _header(path: Path, length: int) -> dict[str, Any] | None:
    try:
        found = json.loads(_head(path, 8 + length)[8:])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _head(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as problem:
        raise KaitoError(f"{path}: cannot be read: {problem.strerror}") from None
