"""A parsed file -> the frozen values of `model`, whether it broke a rule or not. Called by bundling."""

from kaito_components.names import ACCEPT_ANNOTATION
from kaito_components.spec import accepting, annotations, model, schema
from kaito_components.spec.document import Document


def workspace(document: Document, parsed: schema.WorkspaceFile) -> model.Workspace:
    """The Workspace, without its findings."""
    resource, head = parsed.resource, parsed.metadata
    partition = resource.partition
    frozen = model.Resource(
        instance_type=resource.instance_type or None,
        match_labels=labels(resource),
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
        annotations=annotations.kept(head.annotations),
        inference=_inference(parsed.inference) if parsed.inference else None,
        tuning=_tuning(parsed.tuning) if parsed.tuning else None,
        file=document.file,
        lines=document.lines,
        accepted=accepting.accepted(head.annotations.get(ACCEPT_ANNOTATION, "")),
    )


def labels(resource: schema.Resource) -> dict[str, str]:
    """The selector as one value for each label."""
    selector = resource.label_selector
    single = {e.key: e.values[0] for e in selector.match_expressions if e.operator == "In" and len(e.values) == 1}
    return {**selector.match_labels, **single}


def config_map(parsed: schema.ConfigMapFile) -> model.ConfigMap:
    """The ConfigMap as it is made."""
    head = parsed.metadata
    return model.ConfigMap(head.name, head.namespace, parsed.data, head.labels, annotations.kept(head.annotations))


def secret(parsed: schema.SecretFile) -> model.Secret:
    """The Secret as it is made."""
    head = parsed.metadata
    kept = annotations.kept(head.annotations)
    return model.Secret(head.name, head.namespace, parsed.type, parsed.data, parsed.string_data, head.labels, kept)


def strength(text: str) -> float | None:
    """None where it is no number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None


def _inference(parsed: schema.Inference) -> model.Inference:
    adapters = tuple(
        model.Adapter(_source(one.source), None if one.strength is None else strength(one.strength))
        for one in parsed.adapters
    )
    preset = _preset(parsed.preset) if parsed.preset else None
    return model.Inference(preset, parsed.template, parsed.config or None, adapters)


def _tuning(parsed: schema.Tuning) -> model.Tuning:
    out = parsed.output
    push = out.image_push_secret or None if out.image else None
    return model.Tuning(
        preset=_preset(parsed.preset),
        method="qlora" if parsed.method.lower() == "qlora" else "lora",
        input=_source(parsed.input),
        output=model.DataDestination(out.volume_source, out.image or None, push),
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
    pulls = tuple(parsed.image_pull_secrets) if parsed.image else ()
    volume = parsed.volume_source
    return model.DataSource(parsed.name or None, tuple(parsed.urls), volume, parsed.image or None, pulls)
