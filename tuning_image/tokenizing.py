"""The base model's tokenizer, after a check that its folder is complete. Called by run."""

import json
from pathlib import Path
from typing import Any

from tuning_image.errors import TryAgainError, UserError
from tuning_image.settings import Settings


def load(settings: Settings) -> Any:
    """The tokenizer, with the chat template that the settings name.

    Raises:
        UserError: If the folder or the id is not a model.
    """
    from transformers import AutoTokenizer

    arguments, config = settings.arguments, settings.config.ModelConfig
    _check_folder(Path(arguments.model))
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            arguments.model,
            revision=arguments.revision,
            trust_remote_code=config.trust_remote_code,
            local_files_only=config.local_files_only,
        )
    except (ConnectionError, TimeoutError) as error:
        raise TryAgainError(f"--model {arguments.model}: {error}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"--model {arguments.model}: no tokenizer: {str(error).splitlines()[0]}") from None
    if not tokenizer.is_fast:
        raise UserError(f"--model {arguments.model}: has no fast tokenizer (tokenizer.json), which the loss mask needs")
    if config.chat_template:
        tokenizer.chat_template = _template(Path(config.chat_template))
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def _template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"ModelConfig.chat_template: {path}: {error}") from None


def _check_folder(folder: Path) -> None:
    """A folder that lacks a file is named here, not by a trace from deep inside a library."""
    if not folder.is_dir():
        if str(folder).startswith(("/", ".")):
            raise UserError(f"--model {folder}: there is no such folder")
        return
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        parts = set(json.loads(index.read_text())["weight_map"].values())
        missing += sorted(part for part in parts if not (folder / part).is_file())
    elif not list(folder.glob("*.safetensors")):
        missing.append("model.safetensors")
    if missing:
        raise UserError(f"--model {folder}: {', '.join(missing)} is missing; the folder was copied or pulled in part")
