"""KAITO's create rules for a Workspace as a whole: metadata, resource, and that it is one thing. Called by bundling.

Source of the rules: KAITO 0.12 api/v1beta1/workspace_validation.go and api/v1alpha1/workspace_validation.go. What needs
a preset, a VM size or a cluster to be decided is in `plan`.
"""

import re
from collections.abc import Iterator

from kaito_components.errors import Finding
from kaito_components.names import RESERVED_LABELS
from kaito_components.spec import annotations, inference_rules, schema, tuning_rules
from kaito_components.spec.composing import below
from kaito_components.spec.document import Document
from kaito_components.spec.freezing import labels
from kaito_components.spec.references import PLACEHOLDER, label_name_problem, label_problem, name_problem

# Source: KAITO 0.12 pkg/utils/mig.
MIG_PROFILE = re.compile(r"\d+g\.[\d.]+gb")
MIG_PROFILES = {
    f"{slices}g.{size}gb"
    for slices, sizes in {
        1: (5, 6, 10, 12, 18, 20, 23, 24, 35, 45),
        2: (10, 12, 20, 24, 35, 45),
        3: (20, 40, 47, 48, 71, 90),
        4: (20, 24, 40, 47, 48, 71, 90),
        7: (40, 80, 94, 96, 141, 180),
    }.items()
    for size in sizes
}


def of_workspace(document: Document, parsed: schema.WorkspaceFile) -> Iterator[Finding]:
    """Everything that is wrong with a Workspace, or worth knowing, that it alone can tell."""
    yield from of_metadata(document, parsed.metadata, "Workspace")
    yield from annotations.of_workspace(document, parsed)
    yield from _unused(document, parsed)
    if parsed.status is not None:
        yield document.info("server-field", "status", "is set by KAITO's controller; it is not used")
    yield from _of_resource(document, parsed)
    if bool(parsed.inference) == bool(parsed.tuning):
        text = "both are given" if parsed.inference else "neither is given"
        yield document.error("one-of", "", f"exactly one of inference and tuning is needed; {text}")
    if parsed.inference:
        yield from inference_rules.of_inference(document, parsed.inference, parsed.api_version)
    if parsed.tuning:
        yield from tuning_rules.of_tuning(document, parsed.tuning, parsed)


def of_metadata(document: Document, head: schema.Metadata, kind: str) -> Iterator[Finding]:
    """Rules for the metadata of any object."""
    if kind == "Workspace":
        problem = label_name_problem(head.name, kind, letter_first=True)
    else:
        problem = name_problem(head.name, kind)
    if problem:
        yield document.error(problem[0], "metadata.name", problem[1])
    if problem := label_name_problem(head.namespace, "namespace"):
        yield document.error(problem[0], "metadata.namespace", problem[1])
    for key, value in head.labels.items():
        if problem := label_problem(key, value):
            yield document.error(problem[0], below("metadata.labels", key), problem[1])
    yield from annotations.of_object(document, head.annotations)
    for name, field in schema.Metadata.model_fields.items():
        if schema.code_of(field) == "server-field" and getattr(head, name) is not None:
            yield document.info("server-field", f"metadata.{field.alias}", "is set by a cluster; it is not used")


def _unused(document: Document, parsed: schema.WorkspaceFile) -> Iterator[Finding]:
    """KAITO keeps these on its Workspace object; there is none here."""
    if parsed.metadata.labels:
        text = "are on no object: there is no Workspace object in the cluster to carry them"
        yield document.info("unused-metadata", "metadata.labels", text)
    for key in annotations.kept(parsed.metadata.annotations):
        if "kaito." not in key.rpartition("/")[0]:
            text = "is on no object: there is no Workspace object in the cluster to carry it"
            yield document.info("unused-metadata", below("metadata.annotations", key), text)


def _of_resource(document: Document, parsed: schema.WorkspaceFile) -> Iterator[Finding]:
    resource = parsed.resource
    yield from _of_selector(document, resource)
    if resource.count is not None:
        text = "is deprecated: it counts for a template and for the transformers runtime; vLLM's nodes are computed"
        say = document.info if resource.count == 1 else document.warning  # 1 is what the API server fills in
        yield say("deprecated-field", "resource.count", text)
    if resource.preferred_nodes is not None:
        text = "is deprecated and chooses nothing, as in KAITO; use labelSelector"
        yield document.warning("deprecated-field", "resource.preferredNodes", text)
    if resource.instance_type and PLACEHOLDER.search(resource.instance_type):
        text = "is still a placeholder: put an Azure VM size there, such as Standard_NC24ads_A100_v4"
        yield document.error("placeholder", "resource.instanceType", f"{resource.instance_type!r} {text}")
    if resource.partition:
        yield from _of_partition(document, resource.partition, parsed)


def _of_selector(document: Document, resource: schema.Resource) -> Iterator[Finding]:
    selector, field = resource.label_selector, "resource.labelSelector"
    for key, value in selector.match_labels.items():
        if problem := label_problem(key, value):
            yield document.error(problem[0], below(f"{field}.matchLabels", key), problem[1])
    given = dict(selector.match_labels)
    for index, one in enumerate(selector.match_expressions):
        here = f"{field}.matchExpressions[{index}]"
        if one.operator != "In" or len(one.values) != 1:
            text = f"{one.operator!r} with {len(one.values)} values is not one label; use In with one value"
            yield document.error("selector", here, text)
        elif problem := label_problem(one.key, one.values[0]):
            yield document.error(problem[0], here, problem[1])
        elif given.setdefault(one.key, one.values[0]) != one.values[0]:
            text = f"{one.key!r} cannot be {one.values[0]!r} and {given[one.key]!r}; keep one of them"
            yield document.error("selector", here, text)
    wanted = set(labels(resource))
    if wanted and wanted <= RESERVED_LABELS:
        text = f"has only labels that KAITO keeps for itself ({', '.join(sorted(wanted))}); add one of your own"
        yield document.error("reserved-label", f"{field}.matchLabels", text)


def _of_partition(document: Document, partition: schema.Partition, parsed: schema.WorkspaceFile) -> Iterator[Finding]:
    field = "resource.partition"
    if parsed.api_version == "kaito.sh/v1alpha1":
        yield document.error("v1beta1-only", field, "is not in v1alpha1; write apiVersion: kaito.sh/v1beta1")
    if parsed.tuning:
        yield document.error("partition", field, "does not go with tuning; remove it")
    elif parsed.resource.instance_type:
        text = "goes with nodes that exist already; remove it, or instanceType"
        yield document.error("partition", field, text)
    if partition.mode == "accelerator":
        if partition.profile is not None:
            yield document.error("partition", f"{field}.profile", "belongs to mode mig; remove it")
        if partition.count is None:
            yield document.error("partition", f"{field}.count", "is missing: the number of GPUs for each pod")
        return
    if partition.count is not None:
        yield document.error("partition", f"{field}.count", "belongs to mode accelerator; remove it")
    if partition.profile is None:
        yield document.error("partition", f"{field}.profile", "is missing: the MIG profile, such as 1g.10gb")
    elif not MIG_PROFILE.fullmatch(partition.profile) or partition.profile not in MIG_PROFILES:
        text = f"{partition.profile!r} is not a MIG profile; profiles are like 1g.10gb and 3g.40gb"
        yield document.error("partition", f"{field}.profile", text)
