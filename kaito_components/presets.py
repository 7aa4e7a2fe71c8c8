"""Presets: the models that are known by name, one YAML each in `presets/`. Read on first use; called by plan.

In a checkout the folder lies beside the package; a wheel carries it inside, as `model_presets`.
"""

import difflib
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
    """One model. Sizes in bytes, lengths in tokens; `kv_bytes_per_token` at two bytes a value."""

    name: str
    model: str
    revision: str | None
    license: str
    redistributable: bool
    runtimes: tuple[Literal["vllm", "transformers"], ...]
    weights_bytes: int
    context_length: int
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    kv_bytes_per_token: int
    vllm_arguments: tuple[str, ...] = ()
    gated: bool = False
    tuning: TuningPreset | None = None


def preset_names() -> list[str]:
    """The names of all presets, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


@cache
def load_preset(name: str) -> Preset:
    """The preset of that name, or the one of that Hugging Face id; upper and lower case are the same, as for KAITO.

    Raises:
        KaitoError: there is none; the message names the nearest.
    """
    path = _folder() / f"{name.lower()}.yaml"
    if "/" not in name and path.is_file():
        return _read(path)
    for other in preset_names():
        candidate = _read(_folder() / f"{other}.yaml")
        if candidate.model.lower() == name.lower():
            return candidate
    near = difflib.get_close_matches(name.lower(), preset_names(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise KaitoError(f"there is no preset {name!r}; {hint}known presets: {', '.join(preset_names())}")


def _folder() -> Path:
    inside = _PACKAGE / "model_presets"
    return inside if inside.is_dir() else _PACKAGE.parent / "presets"


@cache
def _read(path: Path) -> Preset:
    from ruamel.yaml import YAML

    values: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text())
    tuning = values.pop("tuning", None)
    return Preset(
        name=path.stem,
        weights_bytes=parse_bytes(values.pop("weights")),
        runtimes=tuple(values.pop("runtimes")),
        vllm_arguments=tuple(values.pop("vllm_arguments", ())),
        tuning=_tuning(tuning) if tuning else None,
        **values,
    )


def _tuning(values: dict[str, Any]) -> TuningPreset:
    return TuningPreset(
        disk_bytes=parse_bytes(values["disk"]),
        target_modules=tuple(values["target_modules"]),
        weights_image=values.get("weights_image"),
    )
