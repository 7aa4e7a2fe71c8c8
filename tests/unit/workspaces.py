"""Workspaces for the tests of plan and manifests, as short as they can be said."""

from typing import Any

from kaito_components.plan import NodeOptions, Plan, plan
from kaito_components.spec.model import (
    Bundle,
    ConfigMap,
    DataDestination,
    DataSource,
    Inference,
    PresetRef,
    Resource,
    Tuning,
    Workspace,
)

A100, H100, A10 = "Standard_NC24ads_A100_v4", "Standard_NC40ads_H100_v5", "Standard_NV36ads_A10_v5"
V100, T4, AMD, CPU = "Standard_NC6s_v3", "Standard_NC4as_T4_v3", "Standard_NG32ads_V620_v1", "Standard_D8s_v5"
EXISTING = NodeOptions(provider="existing")
TEMPLATE = {"metadata": {"labels": {"own": "1"}}, "spec": {"containers": [{"name": "mine", "image": "mine:1"}]}}


def inference(size: str | None = A100, preset: str = "phi-4-mini-instruct", **more: Any) -> Workspace:
    """A Workspace that serves; `preset_options`, `adapters`, `config` and `count` go where they belong."""
    part = Inference(
        preset=PresetRef(preset, **more.pop("preset_options", {})),
        **{key: more.pop(key) for key in ("adapters", "config") if key in more},
    )
    labels = more.pop("labels_wanted", {"apps": "phi"})
    resource = Resource(size, labels, more.pop("count", 1), partition=more.pop("partition", None))
    return Workspace("phi", resource, inference=part, **more)


def template(size: str | None = A100, count: int = 1, **more: Any) -> Workspace:
    """A Workspace with the user's own pod template."""
    return Workspace("own", Resource(size, {"apps": "own"}, count), inference=Inference(template=TEMPLATE), **more)


def tuning(size: str | None = V100, preset: str = "phi-3-mini-128k-instruct", **more: Any) -> Workspace:
    """A Workspace that tunes; by default the quick start's."""
    source = more.pop("input", DataSource(urls=("https://example.com/train.parquet",)))
    output = more.pop("output", DataDestination(image="registry.example.com/out:1", image_push_secret="push"))
    part = Tuning(
        PresetRef(preset, **more.pop("preset_options", {})),
        more.pop("method", "qlora"),
        source,
        output,
        more.pop("config", None),
    )
    return Workspace("tune", Resource(size, {"app": "tune"}), tuning=part, **more)


def config(text: str, key: str = "inference_config.yaml") -> Bundle:
    """A ConfigMap `c` beside the Workspace."""
    return Bundle(config_maps=(ConfigMap("c", "default", {key: text}),))


def codes(planned: Plan, severity: str) -> set[str]:
    """The codes of the findings of that severity."""
    return {found.code for found in planned.findings if found.severity == severity}


def planned(spec: Workspace, **options: Any) -> Plan:
    """Its plan, with a registry, so that the warning about a missing one is not in the way."""
    return plan(spec, **{"image_registry": "r.example.com", **options})
