"""Presets: the models that are known by name, one YAML each in `presets/`. Read on first use; called by plan.

In a checkout the folder lies beside the package; a wheel carries it inside, as `model_presets`.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from kaito_components.errors import KaitoError
from kaito_components.units import parse_bytes

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class TuningPreset:
    """How a model is fine-tuned. `weights_image` is KAITO's OCI artefact of the weights, where it publishes one."""

    disk_bytes: int
    target_modules: tuple[str, ...]
    weights_image: str | None = None


@dataclass(frozen=True)
class Preset:
    """One model. Sizes in bytes, lengths in tokens; `kv_bytes_per_token` at two bytes a value.

    `license` is an SPDX id where there is one; `redistributable` says whether it lets others publish the weights.
    `sources` names, for each source, the fields that come from it.
    """

    name: str
    model: str
    revision: str | None
    license: str
    redistributable: bool
    runtimes: tuple[Literal["vllm", "transformers"], ...]
    parameters: int
    weights_bytes: int
    dtype: str
    context_length: int
    architectures: tuple[str, ...]
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    kv_bytes_per_token: int
    sources: Mapping[str, tuple[str, ...]]
    intermediate_size: int | None = None  # of the feed-forward layers; with the next one, what tuning memory needs
    vocabulary_size: int | None = None
    kv_lora_rank: int | None = None  # multi-head latent attention
    rope_head_size: int | None = None
    quantization: str | None = None
    gated: bool = False
    aliases: tuple[str, ...] = ()
    load_format: Literal["auto", "mistral"] = "auto"  # of weights, configuration and tokenizer
    chat_template: str | None = None  # a file in KAITO's base image, below /workspace/chat_templates
    tool_call_parser: str | None = None
    reasoning_parser: str | None = None
    vllm_arguments: tuple[str, ...] = ()
    tuning: TuningPreset | None = None


def preset_names() -> list[str]:
    """The names of all presets, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


@cache
def load_preset(name: str) -> Preset:
    """The preset of that name or alias, or of that Hugging Face id; upper and lower case are the same, as for KAITO.

    Raises:
        KaitoError: there is none; the message names the nearest.
    """
    wanted = name.lower()
    path = _folder() / f"{wanted}.yaml"
    if "/" not in wanted and path.is_file():
        return _read(path)
    for other in preset_names():
        path = _folder() / f"{other}.yaml"
        if wanted in path.read_text().lower():  # parsing takes a hundred times as long
            candidate = _read(path)
            if wanted in (candidate.model.lower(), *candidate.aliases):
                return candidate
    near = difflib.get_close_matches(wanted.rsplit("/", 1)[-1], preset_names(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise KaitoError(f"there is no preset {name!r}; {hint}known presets: {', '.join(preset_names())}")


def tunable_presets() -> list[str]:
    """The names of the presets that can be tuned."""
    return [name for name in preset_names() if load_preset(name).tuning]


def _folder() -> Path:
    inside = _PACKAGE / "model_presets"
    return inside if inside.is_dir() else _PACKAGE.parent / "presets"


@cache
def _read(path: Path) -> Preset:
    from ruamel.yaml import YAML

    values: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text())
    tuning = values.pop("tuning", None)
    weights, sources = values.pop("weights"), values.pop("sources")
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Preset(
        name=path.stem,
        weights_bytes=parse_bytes(weights),
        sources={source: tuple(fields) for source, fields in sources.items()},
        tuning=_tuning(tuning) if tuning else None,
        **plain,
    )


def _tuning(values: dict[str, Any]) -> TuningPreset:
    return TuningPreset(
        disk_bytes=parse_bytes(values["disk"]),
        target_modules=tuple(values["target_modules"]),
        weights_image=values.get("weights_image"),
    )
