"""A Workspace as it was read -> the args that make the same one. Called by convert."""

from collections.abc import Mapping
from typing import Any

from kaito_components.spec import model


def workspace_args(spec: model.Workspace, bundle: model.Bundle) -> dict[str, Any]:
    """The args as `WorkspaceArgs` has them; nodes that exist already are said so."""
    resource: dict[str, Any] = {"label_selector": {"match_labels": dict(spec.resource.match_labels)}}
    if spec.resource.instance_type:
        resource["instance_type"] = spec.resource.instance_type
    if spec.resource.count != 1:
        resource["count"] = spec.resource.count
    if spec.resource.preferred_nodes:
        resource["preferred_nodes"] = list(spec.resource.preferred_nodes)
    if spec.resource.partition:
        resource["partition"] = _given(vars(spec.resource.partition))
    args: dict[str, Any] = {"resource": resource}
    if not spec.resource.instance_type:
        args["nodes"] = {"provider": "existing"}
    if spec.namespace != "default":
        args["namespace"] = spec.namespace
    args |= _given({"labels": dict(spec.labels), "annotations": dict(spec.annotations)})
    part = spec.inference or spec.tuning
    args["inference" if spec.inference else "tuning"] = _inference(spec.inference) if spec.inference else _tuning(spec)
    if part and part.config and (found := bundle.config_map(spec.namespace, part.config)):
        args["config_maps"] = {found.name: dict(found.data)}
    return args


def _inference(part: model.Inference) -> dict[str, Any]:
    adapters = [_given({"source": _source(one.source), "strength": one.strength}) for one in part.adapters]
    preset = _preset(part.preset) if part.preset else None
    return _given({"preset": preset, "template": part.template, "config": part.config, "adapters": adapters})


def _tuning(spec: model.Workspace) -> dict[str, Any]:
    part = spec.tuning
    assert part
    out = _given({**vars(part.output)})
    values = {"preset": _preset(part.preset), "method": part.method, "input": _source(part.input), "output": out}
    return _given({**values, "config": part.config})


def _preset(ref: model.PresetRef) -> dict[str, Any]:
    options = {"image": ref.image, "image_pull_secrets": list(ref.image_pull_secrets)}
    options |= {"model_access_secret": ref.model_access_secret}
    mode = ref.access_mode if ref.access_mode != "public" else None
    return _given({"name": ref.name, "access_mode": mode, "preset_options": _given(options)})


def _source(source: model.DataSource) -> dict[str, Any]:
    lists = {"urls": list(source.urls), "image_pull_secrets": list(source.image_pull_secrets)}
    return _given({**vars(source), **lists})


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not given."""
    return {key: value for key, value in values.items() if value not in (None, (), [], {})}
