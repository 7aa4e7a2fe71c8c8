"""A Workspace as its user wrote it: frozen values, already checked field by field.

Made by `spec.reader` (YAML and Python args), read by `plan`. Field names are KAITO's in snake case
(kaito.sh/v1beta1 Workspace); `None` or an empty tuple means "not given".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kaito_components.errors import Finding, Severity


@dataclass(frozen=True)
class DataSource:
    """Where data or an adapter comes from: exactly one of `urls`, `volume_source`, `image`."""

    name: str | None = None
    urls: tuple[str, ...] = ()
    volume_source: Mapping[str, Any] | None = None  # a Kubernetes VolumeSource, as it is
    image: str | None = None
    image_pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataDestination:
    """Where the tuned adapter goes: exactly one of `volume_source`, `image` (with `image_push_secret`)."""

    volume_source: Mapping[str, Any] | None = None
    image: str | None = None
    image_push_secret: str | None = None


@dataclass(frozen=True)
class PresetRef:
    """`inference.preset` or `tuning.preset`."""

    name: str
    access_mode: Literal["public", "private"] = "public"
    image: str | None = None  # presetOptions.image: the model's weights as an OCI artefact
    image_pull_secrets: tuple[str, ...] = ()
    model_access_secret: str | None = None  # a Secret with the key HF_TOKEN


@dataclass(frozen=True)
class Adapter:
    """One of `inference.adapters`: its source and, for the transformers runtime, its weight."""

    source: DataSource
    strength: float | None = None
    folder: str = ""  # inside of the source; only of what a tuning Workspace serves itself


@dataclass(frozen=True)
class Partition:
    """`resource.partition`: a part of a GPU, on nodes that exist already."""

    mode: Literal["mig", "accelerator"]
    profile: str | None = None
    count: int | None = None


@dataclass(frozen=True)
class Resource:
    """`resource`: which nodes. `count` is KAITO's deprecated node count."""

    instance_type: str | None
    match_labels: Mapping[str, str]
    count: int = 1
    preferred_nodes: tuple[str, ...] = ()
    partition: Partition | None = None


@dataclass(frozen=True)
class Inference:
    """`inference`: a preset, or the user's own pod template (a Kubernetes PodTemplateSpec, as it is)."""

    preset: PresetRef | None = None
    template: Mapping[str, Any] | None = None
    config: str | None = None  # a ConfigMap with the key inference_config.yaml
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True)
class Tuning:
    """`tuning`: a preset fine-tuned on `input`, the adapter written to `output`."""

    preset: PresetRef
    method: Literal["lora", "qlora"]
    input: DataSource
    output: DataDestination
    config: str | None = None  # a ConfigMap with the key training_config.yaml


@dataclass(frozen=True)
class ConfigMap:
    """A ConfigMap that stands beside a Workspace in its file."""

    name: str
    namespace: str
    data: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Secret:
    """A Secret that stands beside a Workspace. Its values never appear in a repr, a log or an error."""

    name: str
    namespace: str
    type: str = "Opaque"
    data: Mapping[str, str] = field(default_factory=dict, repr=False)  # base64, as in the file
    string_data: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workspace:
    """One Workspace. Exactly one of `inference` and `tuning` is set."""

    name: str
    resource: Resource
    namespace: str = "default"
    api_version: str = "kaito.sh/v1beta1"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    inference: Inference | None = None
    tuning: Tuning | None = None
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)  # field path -> line
    findings: tuple[Finding, ...] = ()  # warnings and infos of reading: deprecated fields and the like
    accepted: Mapping[str, str] = field(default_factory=dict)  # code of a warning that may stand -> why
    inference_set: str = ""  # the InferenceSet that it is a replica of
    replica_count: int = 1  # of that set

    @property
    def is_first(self) -> bool:
        """Whether it stands for itself, or is the replica of which is said what is true of all."""
        return not self.inference_set or self.name == f"{self.inference_set}-0"

    def path(self, field: str) -> str:
        """Where a field stands in the file that the Workspace comes from."""
        return path_in_set(field) if self.inference_set else field

    def finding(self, severity: Severity, code: str, field: str, message: str) -> Finding:
        """A finding about one of its fields, with file and line."""
        return Finding(severity, code, self.path(field), message, self.file, self.lines.get(field))


def path_in_set(field: str) -> str:
    """A Workspace's field in an InferenceSet's file."""
    if field.startswith("resource.labelSelector"):
        return f"spec.{field.removeprefix('resource.')}"
    return f"spec.template.{field}" if field.startswith(("resource", "inference", "metadata.annotations")) else field


@dataclass(frozen=True)
class InferenceSet:
    """Replicas of a Workspace behind one Service."""

    name: str
    namespace: str
    replica_count: int
    template: Workspace  # the first replica

    def replicas(self) -> tuple[Workspace, ...]:
        """The set grows and shrinks at the end. What was found in the template is said of the first alone."""
        count = self.replica_count
        first = replace(self.template, name=f"{self.name}-0", inference_set=self.name, replica_count=count)
        others = [replace(first, name=f"{self.name}-{n}", findings=()) for n in range(1, self.replica_count)]
        return (first, *others)[: self.replica_count]


@dataclass(frozen=True)
class Bundle:
    """Everything that was read from one set of files."""

    workspaces: tuple[Workspace, ...] = ()
    config_maps: tuple[ConfigMap, ...] = ()
    secrets: tuple[Secret, ...] = ()
    inference_sets: tuple[InferenceSet, ...] = ()  # their Workspaces stand among the others, too
    findings: tuple[Finding, ...] = ()  # warnings and infos about what is no Workspace; a Workspace has its own

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        """The ConfigMap of that name that stands beside the Workspaces, if there is one."""
        return next((c for c in self.config_maps if (c.namespace, c.name) == (namespace, name)), None)
