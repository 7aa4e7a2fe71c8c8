"""Whether tuning fits a node: on each GPU, for each of them holds all of it. Called by plan.fit."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kaito_components.errors import Finding
from kaito_components.plan.room import FIELD, Fit, describe, free_bytes, kept_by_system, misfit, place_bytes, way_out
from kaito_components.plan.types import Memory
from kaito_components.presets import Preset
from kaito_components.sizing import tuning as tuning_memory
from kaito_components.sizing.estimator import Parallelism
from kaito_components.sizing.terms import Term, total
from kaito_components.sizing.tuning import Training
from kaito_components.skus import VmSize, cpu_sizes, gpu_sizes
from kaito_components.spec.model import ConfigMap, Workspace
from kaito_components.units import gib

RANK, ROWS, ROW_TOKENS = 8, 1, 1024  # KAITO 0.12's default ConfigMaps; trl's default max_length


def training_of(spec: Workspace, preset: Preset, config: ConfigMap | None, dtype: str) -> Training:
    """What of the user's training_config.yaml decides memory, with KAITO's defaults."""
    assert spec.tuning
    sections = _sections(config.data.get("training_config.yaml", "") if config else "")
    lora, arguments = sections("LoraConfig"), sections("TrainingArguments")
    targets = lora.get("target_modules")
    named = tuple(map(str, targets)) if isinstance(targets, list) else ("all-linear",) if targets else ()
    usual = default_training(preset, spec.tuning.method, dtype)
    given = arguments.get("gradient_checkpointing")
    in_eight = usual.weight_bits == 4 and sections("QuantizationConfig").get("load_in_8bit") is True
    return replace(
        usual,
        weight_bits=8 if in_eight else usual.weight_bits,
        rank=_count(lora.get("r"), RANK),
        targets=named or usual.targets,
        row_tokens=_count(arguments.get("max_length", arguments.get("max_seq_length")), ROW_TOKENS),
        rows=_count(arguments.get("per_device_train_batch_size"), ROWS),
        checkpointing=given if isinstance(given, bool) else usual.checkpointing,
    )


def default_training(preset: Preset, method: str, dtype: str) -> Training:
    """What is trained with when the user says no more than the method."""
    is_wide = dtype == "float32"
    return Training(
        weight_bits=4 if method == "qlora" else 32 if is_wide else 16,
        value_bytes=4 if is_wide else 2,
        rank=RANK,
        targets=preset.tuning.target_modules if preset.tuning else (),
        row_tokens=ROW_TOKENS,
        rows=ROWS,
        checkpointing=not is_wide,  # as the tuning image: on a GPU, unless the user says otherwise
    )


def _sections(text: str) -> Any:
    """The sections of a training configuration by name; what cannot be read is said by spec, and is empty here."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(text) if text else None
    except YAMLError:
        values = None
    root = values.get("training_config") if isinstance(values, Mapping) else None

    def section(name: str) -> Mapping[str, Any]:
        found = root.get(name) if isinstance(root, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    return section


def _count(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise


def fit_tuning(
    spec: Workspace, preset: Preset, vm: VmSize, dtype: str, config: ConfigMap | None, region: str | None
) -> Fit:
    """One node. Whether the likely sum fits decides; what its upper bound would not fit is a warning."""
    training = training_of(spec, preset, config, dtype)
    parts = (*tuning_memory.terms(preset, training), kept_by_system(vm))
    memory = _memory(preset, vm, parts)
    found: tuple[Finding, ...] = ()
    if free_bytes(vm, parts) < 0:
        found = (misfit(spec, _too_little(spec, preset, vm, training, region)),)
    elif total(parts).high > place_bytes(vm):
        found = (spec.finding("warning", "tight-fit", FIELD, _tight(vm, parts)),)
    return Fit(1, Parallelism(), preset.context_length, memory, findings=found)


def _memory(preset: Preset, vm: VmSize, parts: tuple[Term, ...]) -> Memory:
    weights = next(one for one in parts if one.name == "weights")
    return Memory(
        weights=weights.likely,
        kv_cache_per_token=preset.kv_bytes_per_token,
        overhead=total(parts).likely - weights.likely,
        usable_per_gpu=place_bytes(vm) - kept_by_system(vm).likely,
        gpu=place_bytes(vm),
        terms=parts,
    )


def _too_little(spec: Workspace, preset: Preset, vm: VmSize, training: Training, region: str | None) -> str:
    assert spec.tuning
    needed = tuning_memory.terms(preset, training)
    sizes = gpu_sizes() if vm.gpus else [*cpu_sizes(), *gpu_sizes()]
    roomy = [size for size in sizes if free_bytes(size, (*needed, kept_by_system(size))) >= 0]
    smaller = [", or method qlora"] if spec.tuning.method == "lora" else []
    smaller += [", or fewer rows at once (per_device_train_batch_size)"] if training.rows > 1 else []
    smaller += (
        [f", or rows shorter than {training.row_tokens} tokens (max_length)"] if training.row_tokens > 512 else []
    )
    smaller += [", or gradient_checkpointing"] if not training.checkpointing else []
    each = " on each GPU" if vm.gpus > 1 else ""
    return (
        f"{preset.name} tuned with {spec.tuning.method} takes about {_range(needed)}{each}, and {describe(vm)} leaves "
        f"{gib(place_bytes(vm) - kept_by_system(vm).likely)}; {way_out(roomy, region)}{''.join(smaller)}"
    )


def _tight(vm: VmSize, parts: tuple[Term, ...]) -> str:
    return (
        f"tuning fills about {_range(parts)} of the {gib(place_bytes(vm))} of {describe(vm)}, and may run out of "
        "memory; a larger size, shorter rows (max_length) or fewer at once make it sure"
    )


def _range(parts: tuple[Term, ...]) -> str:
    added = total(parts)
    return f"{gib(added.likely)} ({gib(added.low)} to {gib(added.high)})"
