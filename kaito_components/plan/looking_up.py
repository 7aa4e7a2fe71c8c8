"""What is looked up before anything is decided: preset, VM size, configuration. Called by plan.deciding."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kaito_components.errors import Finding, InvalidWorkspace, KaitoError
from kaito_components.plan.findings import finding
from kaito_components.plan.runtime import preset_ref
from kaito_components.plan.types import NodeOptions
from kaito_components.presets import Preset, load_preset, retired_model
from kaito_components.skus import VmSize, find_vm_size, known_by_name_only, near_sizes
from kaito_components.spec.model import Bundle, ConfigMap, Workspace

V1ALPHA1_INSTANCE_TYPE = "Standard_NC24ads_A100_v4"  # Source: KAITO's CRD of that version


@dataclass(frozen=True)
class Facts:
    """What was found. `context` is the user's max-model-len, `config` the ConfigMap that holds it."""

    preset: Preset | None
    vm: VmSize | None
    config: ConfigMap | None
    context: int | None
    findings: tuple[Finding, ...]


def look_up(spec: Workspace, bundle: Bundle, nodes: NodeOptions, model: Preset | KaitoError | None) -> Facts:
    """Raises InvalidWorkspace: preset or VM size are unknown, so that there is nothing to plan with."""
    preset, of_preset = _find_preset(spec, model)
    vm, of_size = _find_size(spec, nodes)
    if any(found.severity == "error" for found in (*of_preset, *of_size)):
        raise InvalidWorkspace((*of_preset, *of_size))
    part = spec.tuning or spec.inference
    config = bundle.config_map(spec.namespace, (part.config if part else None) or "")
    context, of_context = _context(spec, config.data if config else {})
    return Facts(preset, vm, config, context, (*of_preset, *of_size, *of_context))


def _find_preset(spec: Workspace, model: Preset | KaitoError | None) -> tuple[Preset | None, list[Finding]]:
    named = preset_ref(spec)
    if named is None:
        return None, []
    try:
        if isinstance(model, KaitoError):
            raise model
        return model or load_preset(named.name), []
    except KaitoError as problem:
        return None, [_unknown_model(spec, named.name, str(problem))]


def _unknown_model(spec: Workspace, name: str, problem: str) -> Finding:
    field = "tuning.preset.name" if spec.tuning else "inference.preset.name"
    if gone := retired_model(name):
        text = f"{name} is no longer served: {gone.reason}; use {gone.replacement} instead"
        return finding(spec, "error", "model-deprecated", field, text)
    if "/" in name:
        return finding(spec, "error", "model-unresolved", field, problem)
    return finding(spec, "error", "unknown-preset", field, problem)


def _find_size(spec: Workspace, nodes: NodeOptions) -> tuple[VmSize | None, list[Finding]]:
    name, field = spec.resource.instance_type, "resource.instanceType"
    if nodes.provider == "existing":
        if name:
            text = f"{name} is set, but the nodes exist already and are chosen by labelSelector; remove instanceType"
            return None, [finding(spec, "error", "instance-type-on-existing-nodes", field, text)]
        return None, []
    if not name and spec.api_version == "kaito.sh/v1alpha1":
        name = V1ALPHA1_INSTANCE_TYPE
    if not name:
        text = "is missing, but nodes are to be made; name an Azure VM size such as Standard_NC24ads_A100_v4"
        return None, [finding(spec, "error", "instance-type-missing", field, text)]
    vm = find_vm_size(name)
    if vm is None and known_by_name_only(name):
        text = f"{name} cannot be planned with: no source says which GPUs it carries; choose another size"
        return None, [finding(spec, "error", "vm-size-unknown", field, text)]
    if vm is None:
        near = ", ".join(near_sizes(name)) or "Standard_NC24ads_A100_v4"
        text = f"{name} is not a known VM size; did you mean {near}?"
        return None, [finding(spec, "error", "vm-size-unknown", field, text)]
    return vm, list(_about_size(spec, vm))


def _about_size(spec: Workspace, vm: VmSize) -> Iterable[Finding]:
    """How this size was come by, and what speaks against buying it."""
    field, instead = "resource.instanceType", " or ".join(vm.replacements)
    if not spec.resource.instance_type:
        text = f"is not given, so it is the default of {spec.api_version}: {vm.name}"
        yield finding(spec, "info", "instance-type-defaulted", field, text)
    if vm.retired:
        text = f"Azure's retirement date of {vm.name} is {vm.retired}; use {instead} instead"
        yield finding(spec, "warning", "vm-size-retired", field, text)
    if vm.unusable:
        yield finding(spec, "warning", "vm-size-unusable", field, f"{vm.name}: {vm.unusable}; choose another size")


def _context(spec: Workspace, data: Mapping[str, str]) -> tuple[int | None, list[Finding]]:
    """`max-model-len` of the user's inference_config.yaml, if it is there."""
    text = data.get("inference_config.yaml") if spec.inference else None
    value = _max_model_len(text) if text else None
    if value in (None, "auto"):
        return None, []
    if str(value).isdigit() and int(value) > 0:
        return int(value), []
    message = f"max-model-len is {value!r} in inference_config.yaml; write a number of tokens, or auto"
    return None, [finding(spec, "error", "context-not-a-number", "inference.config", message)]


def _max_model_len(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        settings = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return "not readable"
    vllm = settings.get("vllm") if isinstance(settings, dict) else None
    return vllm.get("max-model-len") if isinstance(vllm, dict) else None
