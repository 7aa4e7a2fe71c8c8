"""KAITO's InferenceSet: its own rules, and the Workspaces that its template stands for. Called by bundling.

Source: KAITO 0.12 api/v1beta1/inferenceset_types.go and inferenceset_validation.go.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kaito_components.errors import Finding
from kaito_components.spec import model, schema
from kaito_components.spec.annotations import kept
from kaito_components.spec.composing import below
from kaito_components.spec.document import Document
from kaito_components.spec.rules import of_metadata

UNUSED = {
    "nodeCountLimit": "is read by no controller of KAITO's, and not here; remove it",
    "updateStrategy": "is read by no controller of KAITO's; here replicas change one after the other; remove it",
}


def of_inference_set(document: Document, parsed: schema.InferenceSetFile) -> Iterator[Finding]:
    """What is wrong with the set itself; its template is looked at as the Workspace that it stands for."""
    yield from of_metadata(document, parsed.metadata, "Workspace")
    given = document.values.get("spec") or {}
    for field, text in UNUSED.items():
        if given.get(field) is not None:
            yield document.info("unused-field", f"spec.{field}", text)
    if (parsed.spec.auto_upgrade or {}).get("enabled"):
        text = "needs a controller in the cluster; here the next pulumi up brings the package's image; remove it"
        yield document.error("unsupported-field", "spec.autoUpgrade.enabled", text)
    for key in kept(parsed.metadata.annotations):
        if "kaito." in key.rpartition("/")[0]:
            text = "decides nothing on the set; what is for its replicas stands in spec.template.metadata.annotations"
            yield document.warning("ignored-annotation", below("metadata.annotations", key), text)


def template_of(document: Document) -> Document:
    """The first replica as a document of its own; its fields have the lines that they have in the set's file."""
    values, spec = document.values, document.values["spec"]
    template, head = spec["template"], values["metadata"]
    of_template = template.get("metadata") or {}
    metadata = {
        "name": f"{head['name']}-0",
        **{key: head[key] for key in ("namespace",) if key in head},
        **{key: of_template[key] for key in ("labels", "annotations") if key in of_template},
    }
    child: dict[str, Any] = {
        "apiVersion": values["apiVersion"],
        "kind": "Workspace",
        "metadata": metadata,
        "resource": {**(template.get("resource") or {}), "labelSelector": spec.get("labelSelector")},
        "inference": template.get("inference"),
    }
    return Document(document.file, child, _lines(document.lines))


def _lines(lines: Mapping[str, int]) -> dict[str, int]:
    inner = {at.removeprefix("spec.template."): line for at, line in lines.items() if at.startswith("spec.template.")}
    selector = {f"resource.{at[5:]}": line for at, line in lines.items() if at.startswith("spec.labelSelector")}
    head = {at: lines[at] for at in ("", "metadata", "metadata.name", "metadata.namespace") if at in lines}
    return {**inner, **selector, **head}


def in_set(finding: Finding) -> Finding:
    """A finding about the Workspace that the template stands for, as one about the set's file."""
    return replace(finding, field=model.path_in_set(finding.field))
