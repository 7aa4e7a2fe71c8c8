"""KAITO's Workspace as Python args: the same fields in snake case. Used by programs that import the package."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict


class LabelSelectorArgs(TypedDict):
    match_labels: Mapping[str, str]


class PartitionArgs(TypedDict):
    mode: str
    profile: NotRequired[str]
    count: NotRequired[int]


class ResourceArgs(TypedDict):
    label_selector: LabelSelectorArgs
    instance_type: NotRequired[str]
    """Azure VM size; left out on nodes that exist already."""
    count: NotRequired[int]
    partition: NotRequired[PartitionArgs]


class PresetOptionsArgs(TypedDict, total=False):
    image: str
    image_pull_secrets: Sequence[str]
    model_access_secret: str


class PresetArgs(TypedDict):
    name: str
    preset_options: NotRequired[PresetOptionsArgs]


class DataSourceArgs(TypedDict, total=False):
    name: str
    urls: Sequence[str]
    volume_source: Mapping[str, Any]
    image: str
    image_pull_secrets: Sequence[str]


class DataDestinationArgs(TypedDict, total=False):
    volume_source: Mapping[str, Any]
    image: str
    image_push_secret: str


class AdapterArgs(TypedDict):
    source: DataSourceArgs
    strength: NotRequired[str]


class InferenceArgs(TypedDict, total=False):
    preset: PresetArgs
    template: Mapping[str, Any]
    """A Kubernetes PodTemplateSpec, in Kubernetes' own spelling."""
    config: str
    adapters: Sequence[AdapterArgs]


class TuningArgs(TypedDict):
    preset: PresetArgs
    method: str
    input: DataSourceArgs
    output: DataDestinationArgs
    config: NotRequired[str]


class WorkspaceSpecArgs(TypedDict):
    resource: ResourceArgs
    inference: NotRequired[InferenceArgs]
    tuning: NotRequired[TuningArgs]
    workspace_name: NotRequired[str]
    """The Workspace's name in the cluster; the resource's name if left out."""
    namespace: NotRequired[str]
    labels: NotRequired[Mapping[str, str]]
    annotations: NotRequired[Mapping[str, str]]
