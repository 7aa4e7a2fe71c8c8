"""The adapter folder: weights, tokenizer, template, model card; complete or absent. Called by run."""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning_image.servers import servers
from tuning_image.settings import Settings

FOLDER = "adapter"
MERGED = "merged"
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "tokenizers")


def write(
    settings: Settings, model: Any, tokenizer: Any, report: Mapping[str, Any], metrics: Mapping[str, Any], samples: str
) -> Path:
    """Everything into a folder aside, which then takes its name."""
    output = settings.arguments.output
    staging, target = output / ".adapter", output / FOLDER
    shutil.rmtree(staging, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = settings.arguments.model
    model.save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    (staging / "README.md").write_text(_card(settings, report, metrics, samples))
    (staging / "metrics.json").write_text(json.dumps(dict(metrics), indent=2, sort_keys=True) + "\n")
    if settings.arguments.merge:
        merge(settings, staging, tokenizer)
    for path in staging.iterdir():
        path.chmod(0o644)  # safetensors makes its file readable to the owner only; servers run as other users
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    return target


def merge(settings: Settings, adapter: Path, tokenizer: Any) -> None:
    """The full weights with the adapter in them, from the unquantized model: 4 bit would stay 4 bit."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    arguments, trusted = settings.arguments, settings.config.ModelConfig.trust_remote_code
    staging, target = arguments.output / ".merged", arguments.output / MERGED
    base = AutoModelForCausalLM.from_pretrained(
        arguments.model, revision=arguments.revision, dtype="auto", trust_remote_code=trusted
    )
    shutil.rmtree(staging, ignore_errors=True)
    PeftModel.from_pretrained(base, str(adapter)).merge_and_unload(safe_merge=True).save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)


def _card(settings: Settings, report: Mapping[str, Any], metrics: Mapping[str, Any], samples: str) -> str:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    head = f"---\nbase_model: {settings.arguments.model}\nlibrary_name: peft\ntags: [lora]\n---\n\n"
    return head + "\n\n".join(
        [
            f"# Adapter of {settings.arguments.model}",
            f"Made by KAITO's tuning image with --method {settings.arguments.method}.",
            "## Data\n\n" + _table({"sources": len(settings.arguments.data), **_counts(report)}),
            "## Metrics\n\n" + _table(metrics),
            *(["## Answers to validation prompts\n\n" + samples] if samples else []),
            "## Which servers load it\n\n" + _table(servers(settings.config.LoraConfig)),
            "## Settings\n\n" + "\n".join(f"- `{line}`" for line in settings.lines()),
            "## Versions\n\n" + _table(versions) + "\n",
        ]
    )


def _counts(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "bad_rows"}


def _table(values: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {value} |" for name, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows])
