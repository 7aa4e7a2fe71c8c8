"""What there is to say about the model of a decided plan: access, revision, licence, adapters. Called by plan."""

from collections.abc import Iterator

from kaito_components.errors import Finding
from kaito_components.plan.findings import finding
from kaito_components.plan.runtime import preset_ref, served_name
from kaito_components.plan.types import Plan
from kaito_components.presets import Preset
from kaito_components.presets.licenses import license_of


def findings_of_model(plan: Plan) -> Iterator[Finding]:
    """Everything that follows from which model it is."""
    if plan.preset is None:
        return
    part = "tuning" if plan.spec.tuning else "inference"
    yield from _about_access(plan, plan.preset, f"{part}.preset")
    yield from _about_licence(plan, plan.preset, f"{part}.preset")
    yield from _about_adapters(plan, plan.preset)


def _about_access(plan: Plan, preset: Preset, field: str) -> Iterator[Finding]:
    """Whether the weights can be fetched, and whether they stay the same."""
    named = preset_ref(plan.spec)
    if plan.weights.kind != "huggingface":
        return
    if preset.gated and named and not named.model_access_secret:
        text = (
            f"is missing: {preset.model} is gated on Hugging Face; accept its licence ({preset.license}) there, "
            "and name a Secret with your token under the key HF_TOKEN"
        )
        yield finding(plan.spec, "error", "gated-without-secret", f"{field}.presetOptions.modelAccessSecret", text)
    if plan.weights.revision is None:
        text = (
            f"{preset.model} is not pinned to a revision: its weights may change between two starts; "
            f"`kaito models add {preset.model}` writes a preset of your own that pins today's"
        )
        yield finding(plan.spec, "info", "revision-unpinned", f"{field}.name", text)


def _about_licence(plan: Plan, preset: Preset, field: str) -> Iterator[Finding]:
    """Whether the weights may be used so, and may be put into an image of one's own. None: nobody recorded it."""
    known = license_of(preset.license)
    if known.commercial is False:
        text = f"{preset.model} stands under {preset.license}: {known.terms}; choose another model if that does not fit"
        yield finding(plan.spec, "warning", "license-non-commercial", f"{field}.name", text)
    published = preset.tuning.weights_image if preset.tuning else None
    if plan.weights.kind != "image" or plan.weights.reference == published:
        return
    where = f"{plan.weights.reference} holds the weights of {preset.model}"
    way = "keep the image where only you can pull it, or fetch the weights from Hugging Face"
    if preset.redistributable is False:
        text = f"{where}, and its licence ({preset.license}) does not let you pass them on freely: {known.terms}; {way}"
        yield finding(plan.spec, "warning", "license-forbids-image", field, text)
    if preset.redistributable is None:
        text = f"{where}; whether its licence ({preset.license}) lets you pass them on is not known: read it, or {way}"
        yield finding(plan.spec, "info", "license-unknown", field, text)


def _about_adapters(plan: Plan, preset: Preset) -> Iterator[Finding]:
    """An adapter that clients could not name: vLLM serves each as a model of its own name."""
    adapters = plan.spec.inference.adapters if plan.spec.inference else ()
    for index, adapter in enumerate(adapters):
        if plan.runtime == "vllm" and adapter.source.name == served_name(plan.spec, preset):
            text = f"{adapter.source.name} is the name under which the model itself is served; give the adapter another"
            yield finding(plan.spec, "error", "adapter-name-taken", f"inference.adapters[{index}].source.name", text)
