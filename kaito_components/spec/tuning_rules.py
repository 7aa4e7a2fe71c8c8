"""KAITO's create rules for `tuning`. Called by rules. Source: KAITO 0.12 api/v1beta1/workspace_validation.go."""

from collections.abc import Iterator

from kaito_components.errors import Finding
from kaito_components.spec import schema
from kaito_components.spec.document import Document
from kaito_components.spec.inference_rules import of_preset, of_source
from kaito_components.spec.references import image_problem, name_problem, url_problem
from kaito_components.spec.volumes import of_volume

METHODS = ("lora", "qlora")


def of_tuning(document: Document, tuning: schema.Tuning, parsed: schema.WorkspaceFile) -> Iterator[Finding]:
    """Preset, method, data and destination."""
    yield from of_preset(document, tuning.preset, "tuning.preset", parsed.api_version)
    if tuning.method.lower() not in METHODS:
        text = f"{tuning.method!r} must be {' or '.join(METHODS)}"
        yield document.error("tuning-method", "tuning.method", text)
    if tuning.config and (problem := name_problem(tuning.config, "ConfigMap")):
        yield document.error(problem[0], "tuning.config", problem[1])
    yield from _of_input(document, tuning.input)
    yield from _of_output(document, tuning.output)
    if (parsed.resource.count or 1) > 1:
        text = f"is {parsed.resource.count}, but tuning uses one node; remove it"
        yield document.error("tuning-one-node", "resource.count", text)


def _of_input(document: Document, source: schema.Source) -> Iterator[Finding]:
    given = [bool(source.urls), source.volume_source is not None, bool(source.image)]
    if sum(given) != 1:
        text = f"exactly one of urls, volumeSource and image is needed; {sum(given)} are given"
        yield document.error("one-of", "tuning.input", text)
    for index, url in enumerate(source.urls):
        if problem := url_problem(url):
            yield document.error(problem[0], f"tuning.input.urls[{index}]", problem[1])
    yield from of_source(document, source, "tuning.input")


def _of_output(document: Document, output: schema.Destination) -> Iterator[Finding]:
    if bool(output.image) == (output.volume_source is not None):
        text = "both are given" if output.image else "neither is given"
        yield document.error("one-of", "tuning.output", f"exactly one of image and volumeSource is needed; {text}")
    if output.image and (problem := image_problem(output.image)):
        yield document.error(problem[0], "tuning.output.image", problem[1])
    if output.volume_source is not None:
        yield from of_volume(document, output.volume_source, "tuning.output.volumeSource", written=True)
    if output.image and not output.image_push_secret:
        text = "is missing: name the Secret with the registry's login"
        yield document.error("missing-field", "tuning.output.imagePushSecret", text)
    elif output.image_push_secret and (problem := name_problem(output.image_push_secret, "Secret")):
        yield document.error(problem[0], "tuning.output.imagePushSecret", problem[1])
    if output.image_push_secret and not output.image:
        text = "decides nothing: no image is pushed; remove it"
        yield document.warning("unused-field", "tuning.output.imagePushSecret", text)
