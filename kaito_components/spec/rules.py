"""KAITO's create rules, beyond the types of single fields; and the frozen values that a checked file becomes.

Called by reader. Source of the rules: KAITO 0.12 api/v1beta1/workspace_validation.go, inference_config_validation.go,
tuning_config_validation.go and api/v1alpha1/workspace_validation.go. What needs a preset or a size is in `plan`.
"""

import base64
import binascii
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kaito_components.errors import Finding
from kaito_components.names import RESERVED_LABELS
from kaito_components.spec import model, schema
from kaito_components.spec.document import Document
from kaito_components.spec.references import DNS_LABEL, image_problem, name_problem, url_problem

MAX_ADAPTERS = 10
ANNOTATION_VALUES: dict[str, tuple[str, ...] | None] = {
    "kaito.sh/runtime": ("vllm", "transformers"),
    "kaito.sh/enablelb": ("True", "False"),
    "kaito.sh/node-image-family": ("ubuntu", "azurelinux"),
    "kaito.sh/performance-mode": ("balanced", "interactivity", "throughput"),
    "kaito.sh/use-local-weights": ("true", "false"),
    "kaito.sh/bypass-resource-checks": None,
    "pulumi.kaito.sh/weights": None,
}
ANNOTATIONS_WITHOUT_MEANING = {
    "kaito.sh/disable-benchmark", "kaito.sh/node-class-name", "kaito.sh/model-streaming",
    "kaito.sh/model-mirror-storage-class", "kaito.sh/streaming-service-account",
}  # fmt: skip
TUNING_SECTIONS = {
    "ModelConfig", "QuantizationConfig", "LoraConfig", "TrainingArguments", "DatasetConfig", "DataCollator",
}  # fmt: skip


def workspace(document: Document, parsed: schema.WorkspaceFile) -> tuple[model.Workspace, list[Finding]]:
    """The Workspace, and everything that is wrong with it or worth knowing (the latter is in its `findings` too)."""
    findings = [
        *_of_metadata(document, parsed),
        *_of_resource(document, parsed.resource),
        *(_of_inference(document, parsed.inference) if parsed.inference else ()),
        *(_of_tuning(document, parsed) if parsed.tuning else ()),
    ]
    if bool(parsed.inference) == bool(parsed.tuning):
        text = "both are given" if parsed.inference else "neither is given"
        findings.append(
            document.finding("error", "one-of", "", f"exactly one of inference and tuning is needed; {text}")
        )
    mild = tuple(finding for finding in findings if finding.severity != "error")
    return _freeze(document, parsed, mild), findings


def _freeze(document: Document, parsed: schema.WorkspaceFile, findings: tuple[Finding, ...]) -> model.Workspace:
    resource, head = parsed.resource, parsed.metadata
    partition = resource.partition
    frozen = model.Resource(
        instance_type=resource.instance_type or None,
        match_labels=_match_labels(resource.label_selector),
        count=resource.count or 1,
        preferred_nodes=tuple(resource.preferred_nodes or ()),
        partition=model.Partition(partition.mode, partition.profile, partition.count) if partition else None,
    )
    return model.Workspace(
        name=head.name,
        resource=frozen,
        namespace=head.namespace,
        api_version=parsed.api_version,
        labels=head.labels,
        annotations=head.annotations,
        inference=_freeze_inference(parsed.inference) if parsed.inference else None,
        tuning=_freeze_tuning(parsed.tuning) if parsed.tuning else None,
        file=document.file,
        lines=document.lines,
        findings=findings,
    )


def _freeze_inference(parsed: schema.Inference) -> model.Inference:
    adapters = tuple(model.Adapter(_source(a.source), _strength(a.strength)) for a in parsed.adapters)
    preset = _preset(parsed.preset) if parsed.preset else None
    return model.Inference(preset, parsed.template, parsed.config or None, adapters)


def _freeze_tuning(parsed: schema.Tuning) -> model.Tuning:
    out = parsed.output
    return model.Tuning(
        preset=_preset(parsed.preset),
        method="qlora" if parsed.method.lower() == "qlora" else "lora",
        input=_source(parsed.input),
        output=model.DataDestination(out.volume_source, out.image or None, out.image_push_secret or None),
        config=parsed.config or None,
    )


def _preset(parsed: schema.Preset) -> model.PresetRef:
    options = parsed.preset_options or schema.PresetOptions()
    return model.PresetRef(
        name=parsed.name,
        access_mode=parsed.access_mode or "public",
        image=options.image or None,
        image_pull_secrets=tuple(options.image_pull_secrets),
        model_access_secret=options.model_access_secret or None,
    )


def _source(parsed: schema.Source) -> model.DataSource:
    pulls = tuple(parsed.image_pull_secrets)
    return model.DataSource(parsed.name, tuple(parsed.urls), parsed.volume_source, parsed.image or None, pulls)


def _strength(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None  # already a finding


def _match_labels(selector: schema.LabelSelector) -> dict[str, str]:
    single = {e.key: e.values[0] for e in selector.match_expressions if e.operator == "In" and len(e.values) == 1}
    return {**selector.match_labels, **single}


def _of_metadata(document: Document, parsed: schema.WorkspaceFile) -> Iterator[Finding]:
    head = parsed.metadata
    if not DNS_LABEL.fullmatch(head.name):
        text = f"{head.name!r} must be a DNS label: at most 63 lower-case letters, digits and '-'"
        yield document.finding("error", "invalid-name", "metadata.name", text)
    for key, value in head.annotations.items():
        yield from _of_annotation(document, key, value)
    written = document.values.get("metadata")
    server = [f"metadata.{key}" for key in schema.SERVER_FIELDS if isinstance(written, Mapping) and key in written]
    for field in [*server, *(["status"] if parsed.status is not None else [])]:
        yield document.finding("info", "server-field", field, "is set by a cluster; it is not used here")


def _of_annotation(document: Document, key: str, value: str) -> Iterator[Finding]:
    field = f"metadata.annotations.{key}"
    if key in ANNOTATIONS_WITHOUT_MEANING or key.startswith(("inference.kaito.sh/", "scaledobject.kaito.sh/")):
        yield document.finding("warning", "ignored-annotation", field, "has no meaning here: no KAITO controller runs")
    elif key in ANNOTATION_VALUES:
        allowed = ANNOTATION_VALUES[key]
        if allowed and value.lower() not in {a.lower() for a in allowed}:
            text = f"{value!r} must be {' or '.join(allowed)}"
            yield document.finding("error", "annotation-value", field, text)
        if key == "pulumi.kaito.sh/weights" and not _weights(value):
            text = f"{value!r} must be huggingface, image:REF, pvc:CLAIM[/sub/path] or hostPath:/path"
            yield document.finding("error", "annotation-value", field, text)
    elif key.startswith(("kaito.sh/", "pulumi.kaito.sh/")):
        known = ", ".join(sorted(ANNOTATION_VALUES))
        yield document.finding("error", "unknown-annotation", field, f"is not an annotation of KAITO's; known: {known}")


def _weights(value: str) -> bool:
    kind, _, reference = value.partition(":")
    if kind == "hostPath":
        return reference.startswith("/")
    return value == "huggingface" or (kind in ("image", "pvc") and bool(reference))


def _of_resource(document: Document, resource: schema.Resource) -> Iterator[Finding]:
    for index, expression in enumerate(resource.label_selector.match_expressions):
        if expression.operator != "In" or len(expression.values) != 1:
            text = f"{expression.operator} with {len(expression.values)} values is not one label; use In with one value"
            yield document.finding("error", "selector", f"resource.labelSelector.matchExpressions[{index}]", text)
    labels = _match_labels(resource.label_selector)
    if labels and set(labels) <= RESERVED_LABELS:
        text = f"has only labels that KAITO reserves ({', '.join(sorted(labels))}); add one of your own"
        yield document.finding("error", "reserved-label", "resource.labelSelector.matchLabels", text)
    if resource.count is not None and resource.count != 1:
        yield document.finding(
            "warning", "deprecated-field", "resource.count", "is deprecated: the plan sizes vLLM itself"
        )
    if resource.preferred_nodes:
        text = "is deprecated and chooses nothing, as in KAITO; use labelSelector"
        yield document.finding("warning", "deprecated-field", "resource.preferredNodes", text)
    partition = resource.partition
    if partition and partition.mode == "mig":
        text = "mig is not supported yet; use mode accelerator with a count of whole GPUs"
        yield document.finding("error", "partition-unsupported", "resource.partition.mode", text)
    if partition and partition.mode == "accelerator" and (partition.profile or partition.count is None):
        yield document.finding(
            "error", "partition", "resource.partition", "mode accelerator takes count, and no profile"
        )
    if partition and partition.mode == "accelerator" and resource.instance_type:
        text = "goes with nodes that exist already; remove it, or instanceType"
        yield document.finding("error", "partition", "resource.partition", text)


def _of_inference(document: Document, inference: schema.Inference) -> Iterator[Finding]:
    if bool(inference.preset) == (inference.template is not None):
        text = "both are given" if inference.preset else "neither is given"
        yield document.finding("error", "one-of", "inference", f"exactly one of preset and template is needed; {text}")
    if inference.preset:
        yield from _of_preset(document, inference.preset, "inference.preset")
    if inference.template is not None:
        yield from _of_template(document, inference)
    if len(inference.adapters) > MAX_ADAPTERS:
        text = f"has {len(inference.adapters)} adapters; KAITO's limit is {MAX_ADAPTERS}"
        yield document.finding("error", "too-many-adapters", "inference.adapters", text)
    seen: set[str | None] = set()
    for index, adapter in enumerate(inference.adapters):
        yield from _of_adapter(document, adapter, f"inference.adapters[{index}]", seen)


def _of_template(document: Document, inference: schema.Inference) -> Iterator[Finding]:
    for field in ("config", "adapters"):
        if getattr(inference, field):
            text = "belongs to a preset; a template brings its own volumes and arguments"
            yield document.finding("error", "not-with-template", f"inference.{field}", text)
    spec = (inference.template or {}).get("spec")
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    if not isinstance(containers, list) or not containers:
        yield document.finding(
            "error", "missing-field", "inference.template.spec.containers", "needs at least one container"
        )


def _of_adapter(document: Document, adapter: schema.Adapter, field: str, seen: set[str | None]) -> Iterator[Finding]:
    source = adapter.source
    if not source.name:
        yield document.finding("error", "missing-field", f"{field}.source.name", "is missing")
    elif problem := name_problem(source.name, "adapter"):
        yield document.finding("error", problem[0], f"{field}.source.name", problem[1])
    elif source.name in seen:
        yield document.finding("error", "duplicate-adapter", f"{field}.source.name", f"{source.name!r} stands twice")
    seen.add(source.name)
    if source.urls:
        yield document.finding(
            "error", "adapter-source", f"{field}.source.urls", "are not for adapters; use image or volumeSource"
        )
    elif bool(source.image) == bool(source.volume_source):
        yield document.finding(
            "error", "adapter-source", f"{field}.source", "needs exactly one of image and volumeSource"
        )
    yield from _of_source_names(document, source, f"{field}.source")
    if adapter.strength is not None:
        value = _strength(adapter.strength)
        if value is None or not 0 <= value <= 1:
            text = f"{adapter.strength!r} must be a number from 0 to 1, in quotes"
            yield document.finding("error", "adapter-strength", f"{field}.strength", text)


def _of_preset(document: Document, preset: schema.Preset, field: str) -> Iterator[Finding]:
    options = preset.preset_options
    if not preset.name:
        yield document.finding("error", "missing-field", f"{field}.name", "is empty")
    if preset.access_mode:
        text = "is deprecated and decides nothing; presetOptions.image says where the weights are"
        yield document.finding("warning", "deprecated-field", f"{field}.accessMode", text)
    if preset.access_mode == "private" and not (options and options.image):
        yield document.finding(
            "error", "missing-field", f"{field}.presetOptions.image", "is needed for accessMode private"
        )
    if options and options.image and (problem := image_problem(options.image)):
        yield document.finding("error", problem[0], f"{field}.presetOptions.image", problem[1])
    if options and options.model_access_secret and (problem := name_problem(options.model_access_secret, "Secret")):
        yield document.finding("error", problem[0], f"{field}.presetOptions.modelAccessSecret", problem[1])


def _of_source_names(document: Document, source: schema.Source, field: str) -> Iterator[Finding]:
    if source.image and (problem := image_problem(source.image)):
        yield document.finding("error", problem[0], f"{field}.image", problem[1])
    for index, name in enumerate(source.image_pull_secrets):
        if problem := name_problem(name, "Secret"):
            yield document.finding("error", problem[0], f"{field}.imagePullSecrets[{index}]", problem[1])
    if len(source.image_pull_secrets) > 1:
        text = "takes one Secret: a docker login can hold several registries"
        yield document.finding("error", "one-pull-secret", f"{field}.imagePullSecrets", text)


def _of_tuning(document: Document, parsed: schema.WorkspaceFile) -> Iterator[Finding]:
    tuning = parsed.tuning
    assert tuning
    yield from _of_preset(document, tuning.preset, "tuning.preset")
    if tuning.method.lower() not in ("lora", "qlora"):
        yield document.finding("error", "tuning-method", "tuning.method", f"{tuning.method!r} must be lora or qlora")
    given = [bool(tuning.input.urls), bool(tuning.input.volume_source), bool(tuning.input.image)]
    if sum(given) != 1:
        text = f"exactly one of urls, volumeSource and image is needed; {sum(given)} are given"
        yield document.finding("error", "one-of", "tuning.input", text)
    for index, url in enumerate(tuning.input.urls):
        if problem := url_problem(url):
            yield document.finding("error", problem[0], f"tuning.input.urls[{index}]", problem[1])
    yield from _of_source_names(document, tuning.input, "tuning.input")
    yield from _of_output(document, tuning.output)
    if (parsed.resource.count or 1) > 1:
        yield document.finding("error", "tuning-one-node", "resource.count", "must be 1: tuning uses one node")
    if parsed.resource.partition:
        yield document.finding("error", "partition", "resource.partition", "does not go with tuning; remove it")


def _of_output(document: Document, output: schema.Destination) -> Iterator[Finding]:
    if bool(output.image) == bool(output.volume_source):
        text = "both are given" if output.image else "neither is given"
        yield document.finding(
            "error", "one-of", "tuning.output", f"exactly one of image and volumeSource is needed; {text}"
        )
    if output.image and (problem := image_problem(output.image)):
        yield document.finding("error", problem[0], "tuning.output.image", problem[1])
    if output.image and not output.image_push_secret:
        text = "is missing: name the Secret with the registry's login"
        yield document.finding("error", "missing-field", "tuning.output.imagePushSecret", text)
    elif output.image_push_secret and (problem := name_problem(output.image_push_secret, "Secret")):
        yield document.finding("error", problem[0], "tuning.output.imagePushSecret", problem[1])


def secret(document: Document, parsed: schema.SecretFile) -> Iterator[Finding]:
    """A Secret's `data` must be base64; the value itself is never shown."""
    for key, value in parsed.data.items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            text = "is not base64; encode it, or move it to stringData as it is"
            yield document.finding("error", "not-base64", f"data.{key}", text)


def twice(found: Sequence[tuple[Document, model.Workspace]]) -> Iterator[Finding]:
    """Two Workspaces of one name in one namespace would be the same objects."""
    seen: dict[tuple[str, str], str] = {}
    for document, one in found:
        key = (one.namespace, one.name)
        if key in seen:
            text = f"{one.name!r} stands twice in namespace {one.namespace}, first in {seen[key] or 'the same place'}"
            yield document.finding("error", "duplicate-name", "metadata.name", text)
        seen.setdefault(key, document.file)


def beside(document: Document, one: model.Workspace, bundle: model.Bundle) -> Iterator[Finding]:
    """What is wrong with the ConfigMap that a Workspace names, if it stands beside it."""
    part, key = (one.tuning, "training_config.yaml") if one.tuning else (one.inference, "inference_config.yaml")
    config = bundle.config_map(one.namespace, part.config) if part and part.config else None
    if config is None:
        return
    field = "tuning.config" if one.tuning else "inference.config"
    if key not in config.data:
        yield document.finding("error", "config-key", field, f"ConfigMap {config.name} has no key {key}")
        return
    settings = _yaml(config.data[key])
    if not isinstance(settings, Mapping):
        yield document.finding(
            "error", "config-content", field, f"{key} in ConfigMap {config.name} is not a YAML mapping"
        )
    elif one.tuning:
        yield from _of_training(document, field, settings, one.tuning.method)


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return None


def _of_training(document: Document, field: str, settings: Mapping[str, Any], method: str) -> Iterator[Finding]:
    root = settings.get("training_config")
    if not isinstance(root, Mapping):
        yield document.finding(
            "error", "config-content", field, "training_config.yaml needs the mapping training_config"
        )
        return
    for section in sorted(set(map(str, root)) - TUNING_SECTIONS):
        text = f"section {section} is unknown; sections are {', '.join(sorted(TUNING_SECTIONS))}"
        yield document.finding("error", "config-section", field, text)
    bits = root.get("QuantizationConfig") or {}
    four, eight = (bits.get("load_in_4bit"), bits.get("load_in_8bit")) if isinstance(bits, Mapping) else (None, None)
    if any(value not in (None, True, False) for value in (four, eight)):
        yield document.finding("error", "quantization", field, "load_in_4bit and load_in_8bit must be true or false")
    elif four and eight:
        yield document.finding("error", "quantization", field, "load_in_4bit and load_in_8bit cannot both be true")
    elif method == "lora" and (four or eight):
        yield document.finding(
            "error", "quantization", field, "loads in 4 or 8 bits, but the method is lora; use qlora"
        )
    elif method == "qlora" and not (four or eight):
        yield document.finding("error", "quantization", field, "method qlora needs load_in_4bit or load_in_8bit true")
    arguments = root.get("TrainingArguments") or {}
    output = arguments.get("output_dir") if isinstance(arguments, Mapping) else None
    if output is not None:
        joined = posixpath.normpath(f"/mnt/{output}") if isinstance(output, str) else ""
        if not joined.startswith("/mnt/"):
            yield document.finding("error", "output-dir", field, f"output_dir {output!r} must be a folder below /mnt")
