"""The base model's tokenizer, after a check of its folder. Called by run."""

from pathlib import Path
from typing import Any

from tuning_image import model_folder
from tuning_image.errors import TryAgainError, UserError
from tuning_image.settings import Settings


def load(settings: Settings) -> Any:
    """The tokenizer, with the chat template that the settings name.

    Raises:
        UserError: If the folder or the id is not a model.
    """
    from transformers import AutoTokenizer

    arguments, config = settings.arguments, settings.config.ModelConfig
    model_folder.check(Path(arguments.model))
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            arguments.model,
            revision=arguments.revision,
            trust_remote_code=config.trust_remote_code,
            local_files_only=config.local_files_only,
        )
    except (ConnectionError, TimeoutError) as error:
        raise TryAgainError(f"--model {arguments.model}: {error}") from None
    except Exception as error:  # tokenizers raises Exception itself
        raise UserError(f"--model {arguments.model}: no tokenizer: {_first_line(error)}") from None
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


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
