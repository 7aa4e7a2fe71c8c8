"""The plan: everything that follows from a Workspace, its preset and its VM size, decided once and in pure code.

`plan(...)` is called by the components, by `kaito plan` and by the tests; `manifests` turns its result into Kubernetes
objects and an agent-pool body. No Pulumi, no network, no clock here. The parts: `plan_runtime` (program and arguments),
`plan_fit` (nodes, parallelism, memory), `plan_nodes` (pool, disk, labels), `plan_cost` (money), `plan_findings` (what
is to be said).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kaito_components import names
from kaito_components.errors import Finding, InvalidWorkspace, KaitoError
from kaito_components.plan_cost import about_cost, cost_of
from kaito_components.plan_findings import by_weight, finding, findings_of
from kaito_components.plan_fit import fit
from kaito_components.plan_model_findings import findings_of_model
from kaito_components.plan_nodes import disk_bytes, hardware_of, node_selector, pool_of
from kaito_components.plan_runtime import (
    choose_dtype,
    choose_image,
    choose_runtime,
    choose_weights,
    preset_ref,
    transformers_command,
    tuning_command,
    vllm_command,
)
from kaito_components.plan_types import (
    Cost,
    Hardware,
    Memory,
    NodeOptions,
    Plan,
    PlannedObject,
    Pool,
    Runtime,
    WaitOptions,
    Weights,
)
from kaito_components.presets import Preset, load_preset, retired_model
from kaito_components.prices import UnitPrice, region_name
from kaito_components.sizing import Parallelism
from kaito_components.skus import VmSize, find_vm_size, known_by_name_only, near_sizes
from kaito_components.spec.model import Bundle, Workspace
from kaito_components.units import GIB

__all__ = [
    "Cost", "Hardware", "Memory", "NodeOptions", "Plan", "PlannedObject", "Pool", "Runtime", "WaitOptions", "Weights",
    "plan",
]  # fmt: skip

V1ALPHA1_INSTANCE_TYPE = "Standard_NC24ads_A100_v4"  # Source: KAITO's CRD of that version
NODE_SECONDS = 900  # what a new GPU node may take to join: pool operation, driver, device plugin
# KAITO 0.12: 15 minutes and 18 seconds a GiB of weights, between 30 minutes and 3 hours.
LOAD_SECONDS, LOAD_SECONDS_PER_GIB, LOAD_MIN_SECONDS, LOAD_MAX_SECONDS = 900, 18, 1800, 10800
TUNING_SECONDS = 86400  # how long training takes is not in the plan: a day, or what the user says


@dataclass(frozen=True)
class _Facts:
    """What is looked up before anything is decided, and what that look-up found."""

    preset: Preset | None
    vm: VmSize | None
    findings: tuple[Finding, ...]


def plan(
    spec: Workspace,
    *,
    bundle: Bundle | None = None,
    nodes: NodeOptions | None = None,
    wait: WaitOptions | None = None,
    image_registry: str | None = None,
    region: str | None = None,
    price: UnitPrice | None = None,
    model: Preset | KaitoError | None = None,
) -> Plan:
    """Decides everything that follows from a Workspace.

    Args:
        spec: the Workspace.
        bundle: what stands beside it in its files; its ConfigMaps are looked into.
        nodes: how nodes are had; AKS pools by default.
        wait: what `pulumi up` waits for; by default inference until ready, tuning until started.
        image_registry: where our serving and tuning images are, for example `myregistry.azurecr.io/kaito`.
        region: the Azure region of the nodes; with it the embedded table may know what they cost.
        price: of one node there, where it was asked for; it goes before the embedded table.
        model: what was found about the model that the Workspace names, or why nothing was; by default the shipped
            preset of that name.

    Returns:
        The plan. Its findings may hold errors: then nothing may be made from it.

    Raises:
        InvalidWorkspace: preset or VM size are unknown, so that there is nothing to plan with.
    """
    nodes, wait, bundle = nodes or NodeOptions(), wait or WaitOptions(), bundle or Bundle()
    facts = _look_up(spec, nodes, model)
    if any(found.severity == "error" for found in facts.findings):
        raise InvalidWorkspace(facts.findings)
    preset, vm, hardware = facts.preset, facts.vm, hardware_of(spec, facts.vm, nodes)
    config = bundle.config_map(spec.namespace, _config_name(spec) or "")
    context, of_context = _context(spec, config.data if config else {})
    runtime, dtype = choose_runtime(spec, preset, hardware), choose_dtype(spec, preset, hardware)
    weights, disk = choose_weights(spec, preset), disk_bytes(spec, preset)
    region = region_name(region) if region else None
    fitted = fit(spec, preset, vm, hardware, runtime, dtype, context, config, region)
    pool = pool_of(spec, vm, fitted.node_count, disk, nodes) if vm and nodes.provider == "aks" else None
    cost = cost_of(pool, region, price)
    until = wait.until or ("started" if spec.tuning else "ready")
    decided = Plan(
        spec=spec,
        preset=preset,
        vm=vm,
        runtime=runtime,
        node_count=fitted.node_count,
        gpus_per_node=hardware.gpus,
        gpu_resource=hardware.resource,
        tensor_parallel_size=fitted.spread.tensor,
        pipeline_parallel_size=fitted.spread.pipeline,
        data_parallel_size=fitted.spread.data,
        max_model_len=fitted.max_model_len,
        dtype=dtype,
        image=choose_image(spec, runtime, hardware, image_registry),
        command=_command(spec, preset, vm, weights, dtype, fitted.spread, runtime),
        weights=weights,
        memory=fitted.memory,
        room=fitted.room,
        disk_bytes=disk,
        node_selector=node_selector(spec, pool),
        pool=pool,
        wait=until,
        timeout_seconds=wait.timeout_seconds or _deadline(preset, pool, until),
        startup_seconds=_loading(preset),
        region=region,
        cost=cost,
        config_map=config,
        findings=(
            *spec.findings,
            *facts.findings,
            *of_context,
            *fitted.findings,
            *about_cost(spec, pool, region, cost),
        ),
    )
    more = (*findings_of(decided, hardware, nodes, image_registry), *findings_of_model(decided))
    findings = tuple(sorted({*decided.findings, *more}, key=by_weight))
    return replace(decided, findings=findings, resources=tuple(_objects(decided)))


def _config_name(spec: Workspace) -> str | None:
    part = spec.tuning or spec.inference
    return part.config if part else None


def _look_up(spec: Workspace, nodes: NodeOptions, model: Preset | KaitoError | None) -> _Facts:
    preset, of_preset = _find_preset(spec, model)
    vm, of_size = _find_size(spec, nodes)
    return _Facts(preset, vm, (*of_preset, *of_size))


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


def _command(
    spec: Workspace,
    preset: Preset | None,
    vm: VmSize | None,
    weights: Weights,
    dtype: str,
    spread: Parallelism,
    runtime: Runtime,
) -> tuple[str, ...]:
    if preset is None:
        return ()
    if spec.tuning:
        return tuple(tuning_command(spec, preset, weights))
    if runtime == "vllm":
        return tuple(vllm_command(spec, preset, weights, dtype, spread, vm.gpu_model if vm else ""))
    return tuple(transformers_command(spec, preset, weights, dtype))


def _loading(preset: Preset | None) -> int:
    """Seconds that pulling an image and loading the weights may take."""
    seconds = LOAD_SECONDS + math.ceil(LOAD_SECONDS_PER_GIB * (preset.weights_bytes if preset else 0) / GIB)
    return min(max(seconds, LOAD_MIN_SECONDS), LOAD_MAX_SECONDS)


def _deadline(preset: Preset | None, pool: Pool | None, until: str) -> int:
    """Seconds until `pulumi up` gives up: loading, the joining of new nodes, and training where that is waited for."""
    return _loading(preset) + (NODE_SECONDS if pool else 0) + (TUNING_SECONDS if until == "completed" else 0)


def _objects(decided: Plan) -> Iterable[PlannedObject]:
    if decided.pool:
        yield PlannedObject("AgentPool", decided.pool.name)
    yield PlannedObject("Service", decided.name)
    if decided.node_count > 1:
        yield PlannedObject("Service", names.headless_name(decided.name))
    if decided.spec.tuning:
        yield PlannedObject("Job", decided.name)
    else:
        yield PlannedObject("StatefulSet" if decided.node_count > 1 else "Deployment", decided.name)
