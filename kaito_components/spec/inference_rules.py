"""KAITO's create rules for `inference`, and for presets and data sources wherever they stand. Called by rules.

Source: KAITO 0.12 api/v1beta1/workspace_validation.go. KAITO checks adapters only when a Workspace is updated; they
are checked from the start here.
"""

from collections.abc import Iterator

from kaito_components.errors import Finding
from kaito_components.spec import schema
from kaito_components.spec.document import Document
from kaito_components.spec.freezing import strength
from kaito_components.spec.references import PLACEHOLDER, image_problem, label_name_problem, name_problem
from kaito_components.spec.volumes import of_template, of_volume

MAX_ADAPTERS = 10
MAX_ADAPTER_NAME = 55  # its volume is called adapter-<name>, and volumes have 63 characters
V1ALPHA1 = "kaito.sh/v1alpha1"


def of_inference(document: Document, inference: schema.Inference, api_version: str) -> Iterator[Finding]:
    """Exactly one of preset and template, and what goes with it."""
    if bool(inference.preset) == (inference.template is not None):
        text = "both are given" if inference.preset else "neither is given"
        yield document.error("one-of", "inference", f"exactly one of preset and template is needed; {text}")
    if inference.preset:
        yield from of_preset(document, inference.preset, "inference.preset", api_version)
    if inference.template is not None:
        yield from _beside_template(document, inference)
        yield from of_template(document, inference.template, "inference.template")
    if inference.config and (problem := name_problem(inference.config, "ConfigMap")):
        yield document.error(problem[0], "inference.config", problem[1])
    if len(inference.adapters) > MAX_ADAPTERS:
        text = f"has {len(inference.adapters)} adapters; KAITO's limit is {MAX_ADAPTERS}"
        yield document.error("too-many-adapters", "inference.adapters", text)
    seen: set[str] = set()
    for index, adapter in enumerate(inference.adapters):
        yield from _of_adapter(document, adapter, f"inference.adapters[{index}]", seen)


def _beside_template(document: Document, inference: schema.Inference) -> Iterator[Finding]:
    for field in ("config", "adapters"):
        if getattr(inference, field) and not inference.preset:
            text = "belongs to a preset; a template brings its own volumes and arguments"
            yield document.error("not-with-template", f"inference.{field}", text)


def _of_adapter(document: Document, adapter: schema.Adapter, field: str, seen: set[str]) -> Iterator[Finding]:
    source = adapter.source
    if not source.name:
        yield document.error("missing-field", f"{field}.source.name", "is missing: clients ask for the adapter by it")
    elif problem := label_name_problem(source.name, "adapter", MAX_ADAPTER_NAME):
        yield document.error(problem[0], f"{field}.source.name", problem[1])
    elif source.name in seen:
        yield document.error("duplicate-adapter", f"{field}.source.name", f"{source.name!r} stands twice")
    else:
        seen.add(source.name)
    if source.urls:
        text = "are not for adapters; use image or volumeSource"
        yield document.error("adapter-source", f"{field}.source.urls", text)
    elif bool(source.image) == (source.volume_source is not None):
        text = f"needs exactly one of image and volumeSource; {'both are' if source.image else 'neither is'} given"
        yield document.error("adapter-source", f"{field}.source", text)
    yield from of_source(document, source, f"{field}.source")
    if adapter.strength is not None and strength(adapter.strength) is None:
        text = f"{adapter.strength!r} must be a number from 0 to 1, in quotes"
        yield document.error("adapter-strength", f"{field}.strength", text)


def of_preset(document: Document, preset: schema.Preset, field: str, api_version: str) -> Iterator[Finding]:
    """The preset's reference; whether there is such a preset is `plan`'s to say."""
    if not preset.name.strip():
        yield document.error("missing-field", f"{field}.name", "is empty: put the preset's name there")
    elif PLACEHOLDER.search(preset.name):
        text = f"{preset.name!r} is still a placeholder: put the preset's name there, such as phi-4-mini-instruct"
        yield document.error("placeholder", f"{field}.name", text)
    elif "/" in preset.name and api_version == V1ALPHA1:
        text = f"{preset.name!r}: v1alpha1 has presets only; write apiVersion: kaito.sh/v1beta1"
        yield document.error("v1beta1-only", f"{field}.name", text)
    options = preset.preset_options or schema.PresetOptions()
    if preset.access_mode:
        text = "is deprecated and decides nothing; remove it"
        say = (
            document.info if preset.access_mode == "public" else document.warning
        )  # public: filled in by the API server
        yield say("deprecated-field", f"{field}.accessMode", text)
    if preset.access_mode == "private" and api_version == V1ALPHA1 and not options.image:
        text = "is missing: in v1alpha1 a private preset names the image with its weights"
        yield document.error("missing-field", f"{field}.presetOptions.image", text)
    yield from _of_options(document, options, f"{field}.presetOptions", api_version)


def _of_options(document: Document, options: schema.PresetOptions, field: str, api_version: str) -> Iterator[Finding]:
    if options.image:
        text = "is deprecated in KAITO; the weights are taken from it here. The annotation pulumi.kaito.sh/weights"
        yield document.warning("deprecated-field", f"{field}.image", f"{text}: image:... says the same")
        if problem := image_problem(options.image):
            yield document.error(problem[0], f"{field}.image", problem[1])
    yield from _of_pull_secrets(document, options.image_pull_secrets, f"{field}.imagePullSecrets")
    if options.model_access_secret:
        if api_version == V1ALPHA1:
            text = "is not in v1alpha1; write apiVersion: kaito.sh/v1beta1"
            yield document.error("v1beta1-only", f"{field}.modelAccessSecret", text)
        if problem := name_problem(options.model_access_secret, "Secret"):
            yield document.error(problem[0], f"{field}.modelAccessSecret", problem[1])


def of_source(document: Document, source: schema.Source, field: str) -> Iterator[Finding]:
    """Image, pull Secrets and volume of a data source or an adapter."""
    if source.image and (problem := image_problem(source.image)):
        yield document.error(problem[0], f"{field}.image", problem[1])
    if source.volume_source is not None:
        yield from of_volume(document, source.volume_source, f"{field}.volumeSource")
    yield from _of_pull_secrets(document, source.image_pull_secrets, f"{field}.imagePullSecrets")
    if source.image_pull_secrets and not source.image:
        text = "decides nothing: no image is pulled; remove it"
        yield document.warning("unused-field", f"{field}.imagePullSecrets", text)


def _of_pull_secrets(document: Document, secrets: list[str], field: str) -> Iterator[Finding]:
    for index, name in enumerate(secrets):
        if problem := name_problem(name, "Secret"):
            yield document.error(problem[0], f"{field}[{index}]", problem[1])
    if len(secrets) > 1:
        text = f"names {len(secrets)} Secrets; use one, which can hold the logins of several registries"
        yield document.error("one-pull-secret", field, text)
