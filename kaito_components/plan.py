"""The plan: everything that follows from a Workspace, its preset and its VM size, decided once and in pure code.

`plan(...)` is called by the components, by `kaito plan` and by the tests; `manifests` turns its result into Kubernetes
objects and an agent-pool body. No Pulumi, no network, no clock here.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from kaito_components import names, sizing
from kaito_components.errors import Finding, InvalidWorkspace, KaitoError, Severity
from kaito_components.plan_runtime import (
    VLLM_MIN_CAPABILITY,
    choose_dtype,
    choose_image,
    choose_runtime,
    choose_weights,
    transformers_command,
    tuning_command,
    vllm_command,
)
from kaito_components.plan_types import (
    Cost,
    Memory,
    NodeOptions,
    Plan,
    PlannedObject,
    Pool,
    Runtime,
    WaitOptions,
    Weights,
)
from kaito_components.presets import Preset, load_preset
from kaito_components.skus import VmSize, find_vm_size, gpu_sizes, near_sizes
from kaito_components.spec.model import Bundle, Workspace
from kaito_components.units import GIB, gib, gibibytes_up

__all__ = [
    "Cost", "Memory", "NodeOptions", "Plan", "PlannedObject", "Pool", "Runtime", "WaitOptions", "Weights", "plan",
]  # fmt: skip

DISK_BESIDE_WEIGHTS_BYTES = 80 * GIB  # KAITO 0.12: disk = weights + 80 GiB
DISK_WITHOUT_PRESET_BYTES = 128 * GIB  # AKS's default OS disk
NODE_SECONDS = 900  # what a new GPU node may take to join: pool operation, driver, device plugin
# KAITO 0.12: 15 minutes and 18 seconds a GiB of weights, between 30 minutes and 3 hours.
LOAD_SECONDS, LOAD_SECONDS_PER_GIB, LOAD_MIN_SECONDS, LOAD_MAX_SECONDS = 900, 18, 1800, 10800


@dataclass(frozen=True)
class _Facts:
    """What is looked up before anything is decided, and what that look-up found wrong."""

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
) -> Plan:
    """Decides everything that follows from a Workspace.

    Args:
        spec: the Workspace.
        bundle: what stands beside it in its files; its ConfigMaps are looked into.
        nodes: how nodes are had; AKS pools by default.
        wait: what `pulumi up` waits for; by default inference until ready, tuning until started.
        image_registry: where our serving and tuning images are, for example `myregistry.azurecr.io/kaito`.

    Returns:
        The plan. Its findings may hold errors: then nothing may be made from it.

    Raises:
        InvalidWorkspace: preset or VM size are unknown, so that there is nothing to plan with.
    """
    nodes, wait, bundle = nodes or NodeOptions(), wait or WaitOptions(), bundle or Bundle()
    facts = _look_up(spec, nodes)
    if any(finding.severity == "error" for finding in facts.findings):
        raise InvalidWorkspace(facts.findings)
    preset, vm = facts.preset, facts.vm
    runtime = choose_runtime(spec, preset, vm)
    config = bundle.config_map(spec.namespace, _config_name(spec) or "")
    context, findings = _context(spec, config.data if config else {})
    node_count, spread, misfits = _size(spec, preset, vm, runtime, context)
    weights, dtype = choose_weights(spec, preset), choose_dtype(vm)
    disk = _disk(spec, preset)
    pool = _pool(spec, vm, node_count, disk, nodes) if vm and nodes.provider == "aks" else None
    decided = Plan(
        spec=spec,
        preset=preset,
        vm=vm,
        runtime=runtime,
        node_count=node_count,
        gpus_per_node=_gpus(spec, vm),
        tensor_parallel_size=spread.tensor,
        pipeline_parallel_size=spread.pipeline,
        data_parallel_size=spread.data,
        max_model_len=context or ("auto" if runtime == "vllm" or preset is None else preset.context_length),
        dtype=dtype,
        image="" if preset is None else choose_image(_kind(spec), runtime, vm, image_registry),
        command=_command(spec, preset, weights, dtype, spread, runtime),
        weights=weights,
        memory=_memory(preset, vm, context),
        disk_bytes=disk,
        node_selector=_node_selector(spec, pool),
        pool=pool,
        wait=wait.until or ("started" if spec.tuning else "ready"),
        timeout_seconds=wait.timeout_seconds or _deadline(preset, pool),
        config_map=config,
        findings=tuple(sorted([*spec.findings, *facts.findings, *findings, *misfits])),
    )
    more = [*_about_runtime(decided), *_about_tuning(decided), *_about_images(decided, image_registry)]
    return replace(
        decided,
        findings=tuple(sorted(f for f in [*decided.findings, *more] if f)),
        resources=tuple(_objects(decided)),
    )


def _finding(spec: Workspace, severity: Severity, code: str, field: str, message: str) -> Finding:
    return Finding(severity, code, field, message, spec.file, spec.lines.get(field))


def _kind(spec: Workspace) -> str:
    return "tuning" if spec.tuning else "serving"


def _config_name(spec: Workspace) -> str | None:
    part = spec.tuning or spec.inference
    return part.config if part else None


def _look_up(spec: Workspace, nodes: NodeOptions) -> _Facts:
    preset, of_preset = _find_preset(spec)
    vm, of_size = _find_size(spec, nodes)
    return _Facts(preset, vm, (*of_preset, *of_size))


def _find_preset(spec: Workspace) -> tuple[Preset | None, list[Finding]]:
    part = spec.tuning or spec.inference
    if part is None or part.preset is None:
        return None, []
    try:
        return load_preset(part.preset.name), []
    except KaitoError as problem:
        field = "tuning.preset.name" if spec.tuning else "inference.preset.name"
        return None, [_finding(spec, "error", "unknown-preset", field, str(problem))]


def _find_size(spec: Workspace, nodes: NodeOptions) -> tuple[VmSize | None, list[Finding]]:
    name, field = spec.resource.instance_type, "resource.instanceType"
    if nodes.provider == "existing":
        if name:
            text = f"{name} is set, but the nodes exist already and are chosen by labelSelector; remove instanceType"
            return None, [_finding(spec, "error", "instance-type-on-existing-nodes", field, text)]
        return None, []
    if not name:
        text = "is missing, but nodes are to be made; name an Azure VM size such as Standard_NC24ads_A100_v4"
        return None, [_finding(spec, "error", "instance-type-missing", field, text)]
    vm = find_vm_size(name)
    if vm is None:
        near = ", ".join(near_sizes(name)) or "Standard_NC24ads_A100_v4"
        text = f"{name} is not a known VM size; did you mean {near}?"
        return None, [_finding(spec, "error", "vm-size-unknown", field, text)]
    if vm.retired:
        text = f"Azure retired {vm.name} on {vm.retired}; use {' or '.join(vm.replacements)} instead"
        return vm, [_finding(spec, "warning", "vm-size-retired", field, text)]
    return vm, []


def _context(spec: Workspace, data: object) -> tuple[int | None, list[Finding]]:
    """`max-model-len` of the user's inference_config.yaml, if it is there."""
    text = data.get("inference_config.yaml") if isinstance(data, dict) else None
    if not text:
        return None, []
    from ruamel.yaml import YAML

    settings = YAML(typ="safe", pure=True).load(text) or {}
    value = (settings.get("vllm") or {}).get("max-model-len")
    if value in (None, "auto"):
        return None, []
    if str(value).isdigit() and int(value) > 0:
        return int(value), []
    message = f"max-model-len is {value!r} in inference_config.yaml; write a number of tokens, or auto"
    return None, [_finding(spec, "error", "context-not-a-number", "inference.config", message)]


def _size(
    spec: Workspace, preset: Preset | None, vm: VmSize | None, runtime: Runtime, context: int | None
) -> tuple[int, sizing.Parallelism, list[Finding]]:
    """Nodes and parallelism, or why the model does not fit."""
    wanted = spec.resource.count
    if preset is None or vm is None:
        return wanted, sizing.Parallelism(), []
    checked = names.BYPASS_ANNOTATION not in spec.annotations
    if runtime == "vllm" and vm.gpus:
        tokens = context or sizing.DEFAULT_CONTEXT_TOKENS
        nodes = sizing.vllm_nodes(preset.weights_bytes, preset.kv_bytes_per_token, vm, tokens)
        if nodes is not None:
            return nodes, sizing.vllm_parallelism(preset.weights_bytes, vm, nodes), []
        return 1, sizing.Parallelism(), [_misfit(spec, preset, vm)] if checked else []
    if checked and not spec.tuning and not sizing.transformers_fits(preset.weights_bytes, vm):
        return 1, sizing.Parallelism(), [_misfit(spec, preset, vm)]
    return (wanted if runtime == "transformers" and not spec.tuning else 1), sizing.Parallelism(), []


def _misfit(spec: Workspace, preset: Preset, vm: VmSize) -> Finding:
    larger = [size.name for size in gpu_sizes() if sizing.transformers_fits(preset.weights_bytes, size)][:3]
    room = f"{vm.gpus} x {gib(vm.gpu_memory_bytes)} GPU memory" if vm.gpus else f"{gib(vm.memory_bytes)} memory"
    way_out = f"choose {', '.join(larger)}" if larger else "choose a smaller model"
    text = f"{preset.name} ({gib(preset.weights_bytes)} of weights) does not fit one {vm.name} ({room}); {way_out}"
    return _finding(spec, "error", "does-not-fit", "resource.instanceType", text)


def _gpus(spec: Workspace, vm: VmSize | None) -> int:
    if vm is not None:
        return vm.gpus
    partition = spec.resource.partition
    return partition.count if partition and partition.count else 1


def _disk(spec: Workspace, preset: Preset | None) -> int:
    if preset is None:
        return DISK_WITHOUT_PRESET_BYTES
    if spec.tuning and preset.tuning:
        return max(preset.tuning.disk_bytes, DISK_BESIDE_WEIGHTS_BYTES + preset.weights_bytes)
    return DISK_BESIDE_WEIGHTS_BYTES + preset.weights_bytes


def _pool(spec: Workspace, vm: VmSize, node_count: int, disk: int, nodes: NodeOptions) -> Pool:
    family = spec.annotations.get(names.IMAGE_FAMILY_ANNOTATION, "ubuntu").lower()
    os_sku: Literal["Ubuntu", "AzureLinux"] = "AzureLinux" if family == "azurelinux" else "Ubuntu"
    immutable = {
        "vmSize": vm.name,
        "osSKU": os_sku,
        "osDiskSizeGB": gibibytes_up(disk),
        "spot": nodes.spot,
        "zones": sorted(nodes.zones),
    }
    labels = {
        names.WORKSPACE_LABEL: spec.name,
        names.NAMESPACE_LABEL: spec.namespace,
        names.MACHINE_TYPE_LABEL: "gpu" if vm.gpus else "cpu",
        **spec.resource.match_labels,
    }
    return Pool(
        name=names.pool_name(spec.namespace, spec.name, immutable),
        vm_size=vm.name,
        count=node_count,
        labels=labels,
        taints=("sku=gpu:NoSchedule",),
        os_sku=os_sku,
        os_disk_size_gib=gibibytes_up(disk),
        spot=nodes.spot,
        min_count=nodes.min_count,
        max_count=nodes.max_count,
        zones=nodes.zones,
    )


def _node_selector(spec: Workspace, pool: Pool | None) -> dict[str, str]:
    selector = dict(spec.resource.match_labels)
    if pool is not None:
        selector |= {names.WORKSPACE_LABEL: spec.name, names.NAMESPACE_LABEL: spec.namespace}
        selector[names.POOL_LABEL] = pool.name
    return selector


def _command(
    spec: Workspace, preset: Preset | None, weights: Weights, dtype: str, spread: sizing.Parallelism, runtime: Runtime
) -> tuple[str, ...]:
    if preset is None:
        return ()
    if spec.tuning:
        return tuple(tuning_command(spec, preset, weights))
    if runtime == "vllm":
        return tuple(vllm_command(spec, preset, weights, dtype, spread))
    return tuple(transformers_command(spec, preset, weights, dtype))


def _memory(preset: Preset | None, vm: VmSize | None, context: int | None) -> Memory | None:
    if preset is None or vm is None or not vm.gpus:
        return None
    tokens = context or sizing.DEFAULT_CONTEXT_TOKENS
    return Memory(
        weights=preset.weights_bytes,
        kv_cache_per_token=preset.kv_bytes_per_token,
        overhead=int(sizing.RUNTIME_BYTES) * vm.gpus,
        usable_per_gpu=sizing.usable_bytes_per_gpu(vm, preset.kv_bytes_per_token, tokens),
        gpu=vm.gpu_memory_bytes,
    )


def _deadline(preset: Preset | None, pool: Pool | None) -> int:
    """Seconds until `pulumi up` gives up: loading, and the joining of new nodes."""
    weights = preset.weights_bytes if preset else 0
    loading = LOAD_SECONDS + math.ceil(LOAD_SECONDS_PER_GIB * weights / GIB)
    return min(max(loading, LOAD_MIN_SECONDS), LOAD_MAX_SECONDS) + (NODE_SECONDS if pool else 0)


def _about_runtime(decided: Plan) -> Iterable[Finding]:
    spec, vm, preset = decided.spec, decided.vm, decided.preset
    if preset and vm and decided.runtime == "vllm" and (vm.compute_capability or 0) < VLLM_MIN_CAPABILITY:
        has = f"compute capability {vm.compute_capability}" if vm.gpus else "no GPU"
        text = f"vllm needs compute capability {VLLM_MIN_CAPABILITY}, {vm.name} has {has}; remove the annotation"
        yield _finding(spec, "error", "runtime-needs-newer-gpu", names.RUNTIME_ANNOTATION, text)
    if preset and not spec.tuning and decided.runtime not in preset.runtimes:
        text = f"{preset.name} does not run with {decided.runtime}; it runs with {', '.join(preset.runtimes)}"
        yield _finding(spec, "error", "runtime-not-of-preset", names.RUNTIME_ANNOTATION, text)
    adapters = spec.inference.adapters if spec.inference else ()
    for index, adapter in enumerate(adapters):
        if decided.runtime == "vllm" and adapter.strength is not None:
            text = f"{adapter.strength:g} is set, but vLLM has no adapter strength; remove it or use transformers"
            yield _finding(spec, "error", "strength-with-vllm", f"inference.adapters[{index}].strength", text)
    if decided.runtime == "transformers" and not spec.tuning and decided.node_count > 1:
        text = f"is {decided.node_count}, but the transformers runtime uses one node; remove count"
        yield _finding(spec, "error", "too-many-nodes", "resource.count", text)


def _about_tuning(decided: Plan) -> Iterable[Finding]:
    spec, preset = decided.spec, decided.preset
    if not spec.tuning or preset is None:
        return
    if preset.tuning is None:
        text = f"{preset.name} cannot be tuned; presets that can: phi-4-mini-instruct, phi-3-mini-128k-instruct"
        yield _finding(spec, "error", "tuning-unsupported", "tuning.preset.name", text)
    if spec.tuning.method == "qlora" and decided.vm and not decided.vm.gpus:
        text = f"qlora on {decided.vm.name} computes its 4-bit weights on the CPU: it works, and is slow"
        yield _finding(spec, "info", "qlora-without-gpu", "tuning.method", text)


def _about_images(decided: Plan, registry: str | None) -> Iterable[Finding]:
    ours = decided.preset is not None and decided.runtime != "vllm"
    if ours and not registry:
        text = f"{decided.image} is in no public registry; build it, push it to yours, and set kaito:imageRegistry"
        yield _finding(decided.spec, "warning", "image-registry-unset", "kaito:imageRegistry", text)
    if decided.weights.kind == "huggingface" and decided.weights.revision is None:
        text = f"{decided.weights.reference} is not pinned to a revision: its weights may change between two starts"
        yield _finding(decided.spec, "info", "revision-unpinned", "preset", text)


def _objects(decided: Plan) -> Iterable[PlannedObject]:
    if decided.pool:
        yield PlannedObject("AgentPool", decided.pool.name)
    yield PlannedObject("Service", decided.name)
    if decided.node_count > 1:
        yield PlannedObject("Service", f"{decided.name}-headless")
    if decided.spec.tuning:
        yield PlannedObject("Job", decided.name)
    else:
        yield PlannedObject("StatefulSet" if decided.node_count > 1 else "Deployment", decided.name)
