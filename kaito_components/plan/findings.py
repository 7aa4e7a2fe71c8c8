"""What there is to say about a decided plan: refusals, warnings and things to know. Called by plan.

Every code stands in docs/plan.md; a test holds the two together.
"""

from collections.abc import Iterator
from dataclasses import replace

from kaito_components import names
from kaito_components.errors import Finding, Severity
from kaito_components.plan.nodes import MOST_OS_DISK_GIB
from kaito_components.plan.runtime import BFLOAT16_MIN_CAPABILITY, REASONING_PARSERS, TOOL_PARSERS, preset_ref
from kaito_components.plan.types import Hardware, NodeOptions, Plan
from kaito_components.presets import tunable_presets
from kaito_components.sizing.estimator import DEEP_GEMM_MIN_CAPABILITY, VLLM_MIN_CAPABILITY
from kaito_components.spec.model import Workspace
from kaito_components.units import gibibytes_up


def finding(spec: Workspace, severity: Severity, code: str, field: str, message: str) -> Finding:
    """A finding about a field of this Workspace, with its file and line."""
    return spec.finding(severity, code, field, message)


def by_weight(found: Finding) -> tuple[int, Finding]:
    """A key to sort by: errors first, then warnings, then the rest."""
    return ("error", "warning", "info").index(found.severity), replace(found, line=found.line or 0)


def findings_of(plan: Plan, hardware: Hardware, nodes: NodeOptions, image_registry: str | None) -> Iterator[Finding]:
    """Everything about runtime, tuning, weights, nodes and what is set without effect."""
    yield from _about_runtime(plan, hardware)
    yield from _about_idle_gpus(plan, hardware)
    yield from _about_parsers(plan)
    yield from _about_adapters(plan)
    yield from _about_context(plan)
    yield from _about_tuning(plan, hardware)
    yield from _about_weights(plan)
    yield from _about_nodes(plan, nodes)
    yield from _about_names(plan)
    yield from _about_exposure(plan, image_registry)
    yield from _without_effect(plan)


def _about_runtime(plan: Plan, hardware: Hardware) -> Iterator[Finding]:
    spec, vm, preset = plan.spec, plan.vm, plan.preset
    field = f"metadata.annotations.{names.RUNTIME_ANNOTATION}"
    if preset is None:
        return
    if vm and vm.gpus and not vm.compute_capability:
        text = f"{vm.name} has {vm.gpu_model}, and presets need NVIDIA GPUs; choose another size, or a template"
        yield finding(spec, "error", "gpu-without-cuda", "resource.instanceType", text)
    elif plan.runtime == "vllm" and not hardware.has_capability(VLLM_MIN_CAPABILITY):
        place = vm.name if vm else "an existing node"
        has = f"compute capability {vm.compute_capability}" if vm and vm.gpus else "no GPU"
        text = f"vllm needs compute capability {VLLM_MIN_CAPABILITY}, {place} has {has}; remove the annotation"
        yield finding(spec, "error", "runtime-needs-newer-gpu", field, text)
    elif plan.runtime == "vllm" and preset.deep_gemm and not hardware.has_capability(DEEP_GEMM_MIN_CAPABILITY):
        text = f"{preset.name} computes with DeepGEMM, which needs compute capability {DEEP_GEMM_MIN_CAPABILITY}; "
        text += f"{vm.name if vm else 'an existing node'} is older; choose a size with H100 or H200"
        yield finding(spec, "error", "model-needs-newer-gpu", "resource.instanceType", text)
    if (
        not spec.tuning
        and plan.dtype == "bfloat16"
        and hardware.gpus
        and not hardware.has_capability(BFLOAT16_MIN_CAPABILITY)
    ):
        text = f"is bfloat16, which needs compute capability {BFLOAT16_MIN_CAPABILITY}; use float16, or a newer GPU"
        yield finding(spec, "error", "dtype-needs-newer-gpu", f"metadata.annotations.{names.DTYPE_ANNOTATION}", text)
    if not spec.tuning and plan.runtime not in preset.runtimes:
        text = f"{preset.name} does not run with {plan.runtime}; it runs with {', '.join(preset.runtimes)}"
        yield finding(spec, "error", "runtime-not-of-preset", field, text)
    if plan.gpu_resource != names.GPU_RESOURCE and plan.node_count > 1:
        text = f"is {plan.node_count}, but a model is not spread over MIG slices; remove count"
        yield finding(spec, "error", "too-many-nodes", "resource.count", text)
    elif plan.runtime == "transformers" and plan.node_count > 1:
        text = f"is {plan.node_count}, but the transformers runtime uses one node; remove count"
        yield finding(spec, "error", "too-many-nodes", "resource.count", text)


def _about_idle_gpus(plan: Plan, hardware: Hardware) -> Iterator[Finding]:
    """The pod asks for all GPUs of its node, as KAITO's does, and our serving image computes on one."""
    if plan.preset and plan.spec.inference and plan.runtime == "transformers" and hardware.gpus > 1:
        place = plan.vm.name if plan.vm else "a node"
        text = f"{place} has {hardware.gpus} GPUs, and the transformers runtime computes on one of them; choose a size "
        text += "with one GPU" + (", or the vllm runtime" if "vllm" in plan.preset.runtimes else "")
        yield finding(plan.spec, "warning", "idle-gpus", "resource.instanceType", text)


def _about_parsers(plan: Plan) -> Iterator[Finding]:
    """Formats of tool calls and reasoning that vLLM reads and our serving image does not."""
    preset = plan.preset
    if preset is None or plan.runtime != "transformers" or plan.runtime not in preset.runtimes or plan.spec.tuning:
        return
    named = (
        ("tool_call_parser", preset.tool_call_parser, TOOL_PARSERS, "tool calls"),
        ("reasoning_parser", preset.reasoning_parser, REASONING_PARSERS, "reasoning"),
    )
    for field, parser, known, what in named:
        if parser and parser not in known:
            text = (
                f"{field} of {preset.name} is {parser}, which the transformers runtime does not read: {what} will be "
            )
            text += f"text of the answer; it reads {', '.join(known)}; choose the vllm runtime, or take {field} out"
            yield finding(plan.spec, "warning", "parser-not-read", "inference.preset.name", text)


def _about_adapters(plan: Plan) -> Iterator[Finding]:
    adapters = plan.spec.inference.adapters if plan.spec.inference else ()
    for index, adapter in enumerate(adapters):
        if plan.runtime == "vllm" and adapter.strength is not None:
            text = f"{adapter.strength:g} is set, but vLLM has no adapter strength; remove it or use transformers"
            yield finding(plan.spec, "error", "strength-with-vllm", f"inference.adapters[{index}].strength", text)


def _about_context(plan: Plan) -> Iterator[Finding]:
    """A context longer than the model's, or one that memory cuts short."""
    preset, length = plan.preset, plan.max_model_len
    if preset is None or length == "auto" or plan.spec.tuning:
        return
    if length > preset.context_length:
        text = f"max-model-len is {length}, but {preset.name} has a context of {preset.context_length} tokens; lower it"
        yield finding(plan.spec, "error", "context-beyond-model", "inference.config", text)
    fits = not any(one.code == "does-not-fit" for one in plan.findings)
    if plan.runtime == "transformers" and length < preset.context_length and fits:
        text = (
            f"about {length} of the model's {preset.context_length} tokens of context fit beside the weights, "
            "all requests together; a size with more memory holds more"
        )
        yield finding(plan.spec, "info", "context-cut", "resource.instanceType", text)


def _about_tuning(plan: Plan, hardware: Hardware) -> Iterator[Finding]:
    spec, preset = plan.spec, plan.preset
    if not spec.tuning or preset is None:
        return
    if preset.tuning is None:
        text = f"{preset.name} cannot be tuned; presets that can: {', '.join(tunable_presets())}"
        yield finding(spec, "error", "tuning-unsupported", "tuning.preset.name", text)
    if spec.tuning.method == "qlora" and not hardware.gpus:
        text = "qlora without a GPU computes its 4-bit weights on the CPU: it works, and is slow"
        yield finding(spec, "info", "qlora-without-gpu", "tuning.method", text)


def _about_weights(plan: Plan) -> Iterator[Finding]:
    spec, named = plan.spec, preset_ref(plan.spec)
    if plan.preset is None or named is None:
        return
    part = "tuning" if spec.tuning else "inference"
    given = [key for key in (names.WEIGHTS_ANNOTATION,) if key in spec.annotations]
    given += [names.LOCAL_WEIGHTS_ANNOTATION] if spec.annotations.get(names.LOCAL_WEIGHTS_ANNOTATION) == "true" else []
    given += [f"{part}.preset.presetOptions.image"] if named.image else []
    if len(given) > 1:
        text = f"the weights come from one place, but {' and '.join(given)} are given; keep one"
        yield finding(spec, "error", "weights-conflict", f"{part}.preset", text)


def _about_names(plan: Plan) -> Iterator[Finding]:
    if plan.node_count > 1 and len(plan.name) > names.MAX_STATEFUL_NAME:
        text = (
            f"{plan.name!r} has {len(plan.name)} characters; on several nodes at most {names.MAX_STATEFUL_NAME} leave "
            "room for what a StatefulSet adds in the labels of its pods; shorten it"
        )
        yield finding(plan.spec, "error", "name-too-long", "metadata.name", text)


def _about_nodes(plan: Plan, nodes: NodeOptions) -> Iterator[Finding]:
    spec, least, most = plan.spec, nodes.min_count, nodes.max_count
    reserved = sorted(set(spec.resource.match_labels) & names.RESERVED_LABELS)
    if reserved:
        text = f"{', '.join(reserved)} are set by the system and are left out; remove them"
        yield finding(spec, "warning", "reserved-label-left-out", "resource.labelSelector.matchLabels", text)
    if nodes.gpus_per_node is not None and nodes.gpus_per_node < 0:
        text = f"{nodes.gpus_per_node} must be 0 or more"
        yield finding(spec, "error", "gpus-per-node", "kaito:nodes.gpusPerNode", text)
    if nodes.provider == "existing":
        if plan.preset:
            yield _unchecked_nodes(plan, nodes)
        return
    if nodes.gpus_per_node is not None:
        text = f"{nodes.gpus_per_node} is for nodes that exist already; a new pool has what its VM size has; remove it"
        yield finding(spec, "error", "gpus-per-node", "kaito:nodes.gpusPerNode", text)
    if least is not None and most is not None and not least <= plan.node_count <= most:
        text = f"{plan.node_count} nodes are needed, outside of minCount {least} to maxCount {most}; widen the range"
        yield finding(spec, "error", "autoscaling-range", "kaito:nodes", text)
    if plan.pool and plan.pool.os_disk_size_gib > MOST_OS_DISK_GIB:
        text = f"the OS disk would have {plan.pool.os_disk_size_gib} GiB, and AKS makes at most {MOST_OS_DISK_GIB} GiB"
        yield finding(spec, "error", "disk-too-large", "kaito:nodes.osDiskGib", text)
    elif plan.preset and nodes.os_disk_gib and nodes.os_disk_gib < (needed := gibibytes_up(plan.disk_bytes)):
        text = f"{nodes.os_disk_gib} GiB are less than the {needed} GiB that {plan.preset.name} needs; remove it"
        yield finding(spec, "error", "disk-too-small", "kaito:nodes.osDiskGib", text)
    if nodes.spot and (spec.inference or plan.serving) and spec.replica_count < 2:
        text = "Azure may take a spot node away at any time, and nothing answers until another is found"
        yield finding(spec, "warning", "spot-inference", "kaito:nodes.spot", text)


def _unchecked_nodes(plan: Plan, nodes: NodeOptions) -> Finding:
    partition = plan.spec.resource.partition
    if partition and partition.count:
        told = f"{plan.gpus_per_node} GPUs a node, as resource.partition.count says"
    elif partition:
        told = f"one {plan.gpu_resource} a pod, as resource.partition.profile says"
    elif nodes.gpus_per_node is not None:
        told = f"{nodes.gpus_per_node} GPUs a node, as kaito:nodes.gpusPerNode says"
    else:
        told = "one GPU a node is assumed (kaito:nodes.gpusPerNode says otherwise)"
    age = ", of compute capability 8.0 or newer" if plan.gpus_per_node else ""
    text = f"the nodes exist already: {told}{age}; that the model fits is not checked"
    return finding(plan.spec, "info", "nodes-unchecked", "resource", text)


def _about_exposure(plan: Plan, registry: str | None) -> Iterator[Finding]:
    if plan.preset is not None and plan.runtime != "vllm" and not registry:
        text = f"{plan.image} is in no public registry; build it, push it to yours, and set kaito:imageRegistry"
        yield finding(plan.spec, "warning", "image-registry-unset", "kaito:imageRegistry", text)
    has_key = names.API_KEY_ANNOTATION in plan.spec.annotations and plan.preset is not None
    if plan.spec.annotations.get(names.LOAD_BALANCER_ANNOTATION, "").lower() == "true" and not has_key:
        field = f"metadata.annotations.{names.LOAD_BALANCER_ANNOTATION}"
        text = "gives the Service a public address, and whoever reaches it can use the model; name a Secret with a key "
        text += f"in {names.API_KEY_ANNOTATION}" if plan.preset else "let your server ask for a key, and accept this"
        yield finding(plan.spec, "warning", "public-endpoint", field, text)


def _without_effect(plan: Plan) -> Iterator[Finding]:
    """What is set and decides nothing here."""
    spec, served = plan.spec, plan.spec.inference is not None and plan.preset is not None
    serves = served or plan.serving is not None
    idle = {
        names.RUNTIME_ANNOTATION: None if served else "only inference presets have a choice of runtime",
        names.PERFORMANCE_ANNOTATION: None if plan.runtime == "vllm" else "only the vllm runtime has it",
        names.DTYPE_ANNOTATION: None
        if serves
        else "only presets that serve have it; tuning has torch_dtype in its file",
        names.SERVE_ANNOTATION: None if spec.tuning else "only tuning Workspaces have it",
        names.API_KEY_ANNOTATION: None if serves else "only presets that serve ask for it",
        names.WEIGHTS_ANNOTATION: None if plan.preset else "a template brings its own weights",
        names.LOCAL_WEIGHTS_ANNOTATION: None if plan.preset else "a template brings its own weights",
        names.IMAGE_FAMILY_ANNOTATION: None if plan.pool else "the nodes exist already",
    }
    for annotation, reason in idle.items():
        if reason and annotation in spec.annotations:
            text = f"has no effect: {reason}; remove it"
            yield finding(spec, "warning", "without-effect", f"metadata.annotations.{annotation}", text)
    config = spec.inference.config if spec.inference else None
    if config and plan.runtime == "transformers":
        text = f"ConfigMap {config} has no effect: only the vllm runtime reads inference_config.yaml; remove it"
        yield finding(spec, "warning", "without-effect", "inference.config", text)
    named = config or (spec.tuning.config if spec.tuning else None)
    if named and plan.config_map is None:
        text = (
            f"ConfigMap {named} is in none of these files: it must be in the cluster, its content is not checked, and "
            "a change of it restarts nothing"
        )
        field = "tuning.config" if spec.tuning else "inference.config"
        yield finding(spec, "info", "config-elsewhere", field, text)
