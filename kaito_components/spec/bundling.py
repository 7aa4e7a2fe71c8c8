"""Documents -> `Bundle`: each object parsed and held against its rules, and all of them against each other.

Called by reader (files, configuration) and from_args (Python args).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.spec import beside_rules, freezing, model, rules, schema, sets
from kaito_components.spec.document import Document
from kaito_components.spec.recovering import Parsed, parse

Made = model.Workspace | model.InferenceSet | model.ConfigMap | model.Secret


@dataclass(frozen=True)
class _Read:
    """One document's object, everything to say about it, and whether all of it could be parsed."""

    document: Document
    made: Made | None
    findings: tuple[Finding, ...]
    is_whole: bool


def bundle(found: Sequence[Document], problems: Sequence[Finding]) -> model.Bundle:
    """What these documents make together; `problems` is what was found wrong with them before.

    Raises:
        InvalidWorkspace: with every problem of every document.
    """
    reads = [_read(document) for document in _unpacked(found)]
    whole = [read for read in reads if read.is_whole]
    beside = model.Bundle(
        config_maps=tuple(read.made for read in whole if isinstance(read.made, model.ConfigMap)),
        secrets=tuple(read.made for read in whole if isinstance(read.made, model.Secret)),
    )
    findings = [*problems, *beside_rules.twice([(read.document, read.made) for read in whole if read.made])]
    workspaces: list[model.Workspace] = []
    inference_sets: list[model.InferenceSet] = []
    for read in reads:
        said = list(read.findings)
        if isinstance(read.made, model.Workspace):
            said += beside_rules.of_references(read.document, read.made, beside)
            workspaces.append(replace(read.made, findings=_mild(said)))
        elif isinstance(read.made, model.InferenceSet):
            template = read.made.template
            said += map(sets.in_set, beside_rules.of_references(sets.template_of(read.document), template, beside))
            made = replace(read.made, template=replace(template, findings=_mild(said)))
            workspaces += made.replicas()
            inference_sets.append(made)
        findings += said
    if any(finding.severity == "error" for finding in findings):
        raise InvalidWorkspace(_errors(findings))
    own = {finding for one in workspaces for finding in one.findings}
    others = tuple(finding for finding in findings if finding not in own)
    return replace(beside, workspaces=tuple(workspaces), inference_sets=tuple(inference_sets), findings=others)


def _errors(findings: Sequence[Finding]) -> list[Finding]:
    """Each error once, in the order of the files; what is missing because it could not be read is left out."""
    errors = {finding for finding in findings if finding.severity == "error"}
    refused = {(finding.file, finding.field) for finding in errors if finding.code == "wrong-type"}
    told = [f for f in errors if f.code != "missing-field" or (f.file, f.field) not in refused]
    return sorted(told, key=lambda f: (f.file, f.line or 0, f.field, f.code))


def _mild(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.severity != "error")


def _unpacked(found: Iterable[Document]) -> Iterator[Document]:
    """The documents, and those in the lists that `kubectl get -o yaml` prints."""
    for document in found:
        values = document.values
        kind, items = (values.get("kind"), values.get("items")) if isinstance(values, dict) else (None, None)
        if isinstance(kind, str) and kind in schema.LISTS and isinstance(items, list):
            yield from document.items()
        else:
            yield document


def _read(document: Document) -> _Read:
    shape = _shape(document)
    if isinstance(shape, Finding):
        return _Read(document, None, (shape,), is_whole=False)
    parsed = parse(document, shape)
    said = [finding for finding in _rules(document, parsed.file) if parsed.tells(finding)]
    if isinstance(parsed.file, schema.InferenceSetFile) and not parsed.findings:
        return _read_set(document, parsed.file, said)
    made = _freeze(document, parsed)
    return _Read(document, made, (*parsed.findings, *said), is_whole=made is not None and not parsed.findings)


def _read_set(document: Document, parsed: schema.InferenceSetFile, said: Sequence[Finding]) -> _Read:
    """An InferenceSet whose own fields are right: the rest is that of a Workspace."""
    template = _read(sets.template_of(document))
    known = {finding.field for finding in said}  # such as its name, which a replica's starts with
    findings = (*said, *(found for found in map(sets.in_set, template.findings) if found.field not in known))
    if not isinstance(template.made, model.Workspace):
        return _Read(document, None, findings, is_whole=False)
    count, head = 1 if parsed.spec.replicas is None else parsed.spec.replicas, parsed.metadata
    made = model.InferenceSet(head.name, head.namespace, count, template.made)
    return _Read(document, made, findings, template.is_whole)


def _rules(document: Document, parsed: schema.Strict | None) -> Iterator[Finding]:
    match parsed:
        case schema.WorkspaceFile():
            yield from rules.of_workspace(document, parsed)
        case schema.InferenceSetFile():
            yield from sets.of_inference_set(document, parsed)
        case schema.ConfigMapFile():
            yield from beside_rules.of_config_map(document, parsed)
        case schema.SecretFile():
            yield from beside_rules.of_secret(document, parsed)


def _freeze(document: Document, parsed: Parsed) -> Made | None:
    match parsed.file:
        case schema.WorkspaceFile():
            return freezing.workspace(document, parsed.file)
        case schema.ConfigMapFile():
            return freezing.config_map(parsed.file)
        case schema.SecretFile():
            return freezing.secret(parsed.file)
    return None


def _shape(document: Document) -> type[schema.Strict] | Finding:
    """The model of the document's kind, or why there is none."""
    if not isinstance(document.values, dict):
        return document.error("not-an-object", "", "is not a Kubernetes object: it has no apiVersion and no kind")
    kind = document.values.get("kind")
    if isinstance(kind, str) and kind in schema.KINDS:
        return schema.KINDS[kind]
    known = "Workspace, InferenceSet, ConfigMap and Secret are read here"
    if kind is None:
        return document.error("unsupported-kind", "kind", f"is missing; {known}")
    if isinstance(kind, str) and kind in schema.NOT_YET:
        return document.error("unsupported-kind", "kind", f"KAITO's {kind} is not supported yet; {known}")
    shown = ascii(kind) if isinstance(kind, str | int | float | bool) else "a mapping or list"
    return document.error("unsupported-kind", "kind", f"{shown[:80]} is not read; {known}")
