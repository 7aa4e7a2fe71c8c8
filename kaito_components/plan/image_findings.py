"""Whether the images that a Workspace names stay the same from one start to the next. Called by plan."""

from collections.abc import Iterator, Mapping
from typing import Any

from kaito_components.errors import Finding
from kaito_components.plan.findings import finding
from kaito_components.plan.types import Plan


def findings_of_images(plan: Plan) -> Iterator[Finding]:
    """A warning for each image that the user names without a version."""
    for field, image in _images(plan):
        if not is_pinned(image):
            text = f"{image} has no version: what it is may change between two starts; name a tag other than latest"
            yield finding(plan.spec, "warning", "image-unpinned", field, f"{text}, or a digest")


def is_pinned(image: str) -> bool:
    """Whether it has a digest, or a tag other than `latest`."""
    name, digest, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return bool(digest) or tag not in ("", "latest")


def _images(plan: Plan) -> Iterator[tuple[str, str]]:
    """(field, image) of what is pulled."""
    spec = plan.spec
    published = plan.preset.tuning.weights_image if plan.preset and plan.preset.tuning else None  # KAITO's own
    if plan.weights.kind == "image" and plan.weights.reference != published:
        yield ("tuning" if spec.tuning else "inference") + ".preset", plan.weights.reference
    if spec.tuning and spec.tuning.input.image:
        yield "tuning.input.image", spec.tuning.input.image
    if spec.inference:
        for index, adapter in enumerate(spec.inference.adapters):
            if adapter.source.image:
                yield f"inference.adapters[{index}].source.image", adapter.source.image
        yield from _of_template(spec.inference.template or {})


def _of_template(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("initContainers", "containers"):
        for index, container in enumerate((template.get("spec") or {}).get(kind) or ()):
            if isinstance(container, Mapping) and isinstance(image := container.get("image"), str):
                yield f"inference.template.spec.{kind}[{index}].image", image
