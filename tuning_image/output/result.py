"""The adapter folder: weights, tokenizer, template, model card; complete or absent. Called by tuning."""

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning_image.data import sources
from tuning_image.servers import servers
from tuning_image.settings import Settings

FOLDER = "adapter"
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
    for path in staging.iterdir():
        path.chmod(0o644)  # safetensors makes its file readable to the owner only; servers run as other users
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    return target


def _card(settings: Settings, report: Mapping[str, Any], metrics: Mapping[str, Any], samples: str) -> str:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    head = f"---\nbase_model: {settings.arguments.model}\nlibrary_name: peft\ntags: [lora]\n---\n\n"
    return head + "\n\n".join(
        [
            f"# Adapter of {settings.arguments.model}",
            f"Made by KAITO's tuning image with --method {settings.arguments.method}.",
            "## Data\n\n" + _table({"sources": _sources(settings), **_counts(report)}),
            "## Metrics\n\n" + _table({name: value for name, value in metrics.items() if value is not None}),
            *(["## Answers to validation prompts\n\n" + samples] if samples else []),
            "## Which servers load it\n\n" + _table(servers(settings.config.LoraConfig)),
            "## Settings\n\n" + "\n".join(f"- `{line}`" for line in settings.lines()),
            "## Versions\n\n" + _table(versions) + "\n",
        ]
    )


def _sources(settings: Settings) -> str:
    """Without what may be secret in an address."""
    return ", ".join(sources.shown(sources.parse(text).place) for text in settings.arguments.data)


def _counts(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "bad_rows"}


def _table(values: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {value} |" for name, value in values.items()]
    return "\n".join(["| | |", "|---|---|", *rows])
