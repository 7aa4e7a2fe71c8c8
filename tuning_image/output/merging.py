"""The full weights with the adapter in them: `merged/`, complete or absent. Called by run, when training is done."""

import gc
import shutil
from typing import Any

from tuning_image.output import result
from tuning_image.settings import Settings

FOLDER = "merged"


def write(settings: Settings, tokenizer: Any) -> None:
    """From the unquantized model: 4 bit would stay 4 bit."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    gc.collect()  # the trained model: its parts name each other
    arguments, trusted = settings.arguments, settings.config.ModelConfig.trust_remote_code
    staging, target = arguments.output / ".merged", arguments.output / FOLDER
    base = AutoModelForCausalLM.from_pretrained(
        arguments.model, revision=arguments.revision, dtype="auto", trust_remote_code=trusted
    )
    shutil.rmtree(staging, ignore_errors=True)
    adapted = PeftModel.from_pretrained(base, str(arguments.output / result.FOLDER))
    adapted.merge_and_unload(safe_merge=True).save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    for path in staging.iterdir():
        path.chmod(0o644)  # safetensors makes its file readable to the owner only; servers run as other users
    staging.rename(target)
