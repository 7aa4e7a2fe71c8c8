"""Whether a model's folder is complete and readable, before anything is loaded from it. Called by tokenizing."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from tuning_image.errors import UserError

NEEDED = ("config.json", "tokenizer.json")
READ = (*NEEDED, "tokenizer_config.json")
INDEX = "model.safetensors.index.json"
ONE_FILE = "model.safetensors"


def check(folder: Path) -> None:
    """Names a missing or damaged file, where a library would say something from deep inside.

    Raises:
        UserError: With the file's name.
    """
    if not folder.is_dir():
        if str(folder).startswith(("/", ".")):
            raise UserError(f"--model {folder}: there is no such folder")
        return
    parts = _weights(folder)
    missing = [name for name in (*NEEDED, *parts) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"--model {folder}: {', '.join(missing)} is missing; the folder was copied or pulled in part")
    for name in READ:
        _object(folder / name)
    for part in parts:
        try:
            with safe_open(folder / part, "pt"):  # reads the head and compares the file's size with it
                pass
        except (SafetensorError, OSError) as error:
            raise _damaged(folder / part, error) from None


def _weights(folder: Path) -> list[str]:
    if (folder / INDEX).is_file():
        parts = _object(folder / INDEX).get("weight_map")
        if not isinstance(parts, dict) or not all(isinstance(part, str) for part in parts.values()):
            raise _damaged(folder / INDEX, "it has no weight_map")
        return sorted(set(parts.values()))
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    return [ONE_FILE] if ONE_FILE in others or not others else others


def _object(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    if not isinstance(found, dict):
        raise _damaged(path, "it is not a JSON object")
    return found


def _damaged(path: Path, reason: object) -> UserError:
    return UserError(f"--model {path.parent}: {path.name} is damaged ({reason}); copy or pull the folder anew")
