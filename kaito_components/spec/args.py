"""KAITO's Workspace as Python args: the same fields in snake case. Used by programs that import the package.

`from_args.workspace_from_args` reads them; it applies the same rules as to a file.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict


class MatchExpressionArgs(TypedDict):
    """One label, in Kubernetes' longer form: `operator` is In, `values` has one value."""

    key: str
    operator: Literal["In"]
    values: Sequence[str]


class LabelSelectorArgs(TypedDict, total=False):
    """Which nodes: new ones get these labels, existing ones are chosen by them."""

    match_labels: Mapping[str, str]
    match_expressions: Sequence[MatchExpressionArgs]


class PartitionArgs(TypedDict):
    """A part of a node's GPUs, on nodes that exist already."""

    mode: Literal["mig", "accelerator"]
    profile: NotRequired[str]
    count: NotRequired[int]


class ResourceArgs(TypedDict):
    """Which nodes."""

    label_selector: LabelSelectorArgs
    instance_type: NotRequired[str]
    """Azure VM size; left out on nodes that exist already."""
    count: NotRequired[int]
    """Deprecated: the number of nodes for a template and for the transformers runtime."""
    preferred_nodes: NotRequired[Sequence[str]]
    """Deprecated: chooses nothing."""
    partition: NotRequired[PartitionArgs]


class PresetOptionsArgs(TypedDict, total=False):
    """More about a preset."""

    image: str
    """Deprecated: the weights as an OCI artefact; the annotation pulumi.kaito.sh/weights says the same."""
    image_pull_secrets: Sequence[str]
    model_access_secret: str
    """A Secret with the key HF_TOKEN, for gated models."""


class PresetArgs(TypedDict):
    """A model that is known by name."""

    name: str
    access_mode: NotRequired[Literal["public", "private"]]
    """Deprecated: decides nothing."""
    preset_options: NotRequired[PresetOptionsArgs]


class DataSourceArgs(TypedDict, total=False):
    """Where data or an adapter comes from: exactly one of urls, volume_source and image."""

    name: str
    urls: Sequence[str]
    volume_source: Mapping[str, Any]
    """A Kubernetes VolumeSource, in Kubernetes' own spelling."""
    image: str
    image_pull_secrets: Sequence[str]


class DataDestinationArgs(TypedDict, total=False):
    """Where the tuned adapter goes: exactly one of volume_source and image (with image_push_secret)."""

    volume_source: Mapping[str, Any]
    """A Kubernetes VolumeSource, in Kubernetes' own spelling."""
    image: str
    image_push_secret: str


class AdapterArgs(TypedDict):
    """A fine-tuned adapter that is served with the model."""

    source: DataSourceArgs
    strength: NotRequired[str | float]
    """From 0 to 1; only for the transformers runtime."""


class InferenceArgs(TypedDict, total=False):
    """What is served: exactly one of preset and template."""

    preset: PresetArgs
    template: Mapping[str, Any]
    """A Kubernetes PodTemplateSpec, in Kubernetes' own spelling."""
    config: str
    """A ConfigMap with the key inference_config.yaml."""
    adapters: Sequence[AdapterArgs]


class TuningArgs(TypedDict):
    """What is fine-tuned, from what, to where."""

    preset: PresetArgs
    method: Literal["lora", "qlora"]
    input: DataSourceArgs
    output: DataDestinationArgs
    config: NotRequired[str]
    """A ConfigMap with the key training_config.yaml."""


class WorkspaceSpecArgs(TypedDict):
    """A Workspace: exactly one of inference and tuning."""

    resource: ResourceArgs
    inference: NotRequired[InferenceArgs]
    tuning: NotRequired[TuningArgs]
    workspace_name: NotRequired[str]
    """The Workspace's name in the cluster; the resource's name if left out."""
    namespace: NotRequired[str]
    config_maps: NotRequired[Mapping[str, Mapping[str, str]]]
    """ConfigMaps that are made beside it, by name: text by key. `inference.config` or `tuning.config` names one."""
    labels: NotRequired[Mapping[str, str]]
    annotations: NotRequired[Mapping[str, str]]
    """KAITO's and ours, as in a file: kaito.sh/runtime, pulumi.kaito.sh/weights and the others of docs/workspace.md."""
