"""The shape of KAITO's Workspace as pydantic models: which fields exist, and of what type. Called by reader.

Source: kaito.sh v1alpha1 and v1beta1, KAITO 0.12 api/v1beta1/workspace_types.go. Names are KAITO's.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from pydantic.alias_generators import to_camel


class Strict(BaseModel):
    """No field that is not named here."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=False)


class Metadata(Strict):
    """What a user writes, and what `kubectl get -o yaml` adds to it."""

    name: StrictStr
    namespace: StrictStr = "default"
    labels: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    annotations: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    uid: Any = None
    resource_version: Any = None
    creation_timestamp: Any = None
    generation: Any = None
    managed_fields: Any = None
    owner_references: Any = None
    finalizers: Any = None
    self_link: Any = None


class MatchExpression(Strict):
    key: StrictStr
    operator: StrictStr
    values: list[StrictStr] = Field(default_factory=list)


class LabelSelector(Strict):
    match_labels: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    match_expressions: list[MatchExpression] = Field(default_factory=list)


class Partition(Strict):
    mode: Literal["mig", "accelerator"]
    profile: StrictStr | None = None
    count: StrictInt | None = Field(None, ge=1)


class Resource(Strict):
    count: StrictInt | None = Field(None, ge=1)
    instance_type: StrictStr | None = None
    label_selector: LabelSelector
    preferred_nodes: list[StrictStr] | None = None
    partition: Partition | None = None


class PresetOptions(Strict):
    image: StrictStr | None = None
    image_pull_secrets: list[StrictStr] = Field(default_factory=list)
    model_access_secret: StrictStr | None = None


class Preset(Strict):
    name: StrictStr
    access_mode: Literal["public", "private"] | None = None
    preset_options: PresetOptions | None = None


class Source(Strict):
    name: StrictStr | None = None
    urls: list[StrictStr] = Field(default_factory=list)
    volume_source: dict[str, Any] | None = None
    image: StrictStr | None = None
    image_pull_secrets: list[StrictStr] = Field(default_factory=list)


class Destination(Strict):
    volume_source: dict[str, Any] | None = None
    image: StrictStr | None = None
    image_push_secret: StrictStr | None = None


class Adapter(Strict):
    source: Source
    strength: StrictStr | None = None


class Inference(Strict):
    preset: Preset | None = None
    template: dict[str, Any] | None = None
    config: StrictStr | None = None
    adapters: list[Adapter] = Field(default_factory=list)


class Tuning(Strict):
    preset: Preset
    method: StrictStr
    config: StrictStr | None = None
    input: Source
    output: Destination


class WorkspaceFile(Strict):
    api_version: Literal["kaito.sh/v1alpha1", "kaito.sh/v1beta1"]
    kind: Literal["Workspace"]
    metadata: Metadata
    resource: Resource
    inference: Inference | None = None
    tuning: Tuning | None = None
    status: Any = None


class ConfigMapFile(Strict):
    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: Metadata
    data: dict[StrictStr, StrictStr] = Field(default_factory=dict)


class SecretFile(Strict):
    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: Metadata
    type: StrictStr = "Opaque"
    data: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    string_data: dict[StrictStr, StrictStr] = Field(default_factory=dict)


KINDS: dict[str, type[Strict]] = {"Workspace": WorkspaceFile, "ConfigMap": ConfigMapFile, "Secret": SecretFile}
NOT_YET = {"InferenceSet", "RAGEngine", "MultiRoleInference", "ModelMirror"}
SERVER_FIELDS = (
    "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences",
    "finalizers", "selfLink",
)  # fmt: skip
