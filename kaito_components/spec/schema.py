"""The shape of KAITO's Workspace as pydantic models: which fields exist, of what type, what they mean here.

Called by bundling, from_args and reference (which makes the table of docs/workspace.md from it).
Source: kaito.sh v1alpha1 and v1beta1, KAITO 0.12 api/v1beta1/workspace_types.go. Names are KAITO's.
"""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

Labels = dict[StrictStr, StrictStr]
Names = list[StrictStr]


def described(meaning: str, code: str = "", optional: Any = None, **limits: Any) -> Any:
    """An optional field; `code` is the finding that it always comes with."""
    return Field(optional, description=meaning, json_schema_extra={"code": code}, **limits)


def empty(meaning: str, kind: type) -> Any:
    """An optional field that is empty when it is left out."""
    return Field(default_factory=kind, description=meaning)


def needed(meaning: str) -> Any:
    """A field that must be there."""
    return Field(description=meaning)


class Strict(BaseModel):
    """No field that is not named here; `null` is the same as left out, as the API server has it."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        known = fields(cls)
        return {key: value for key, value in values.items() if value is not None or key not in known}


def fields(shape: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the name they have in a file."""
    return {field.alias or name: field for name, field in shape.model_fields.items()}


def code_of(field: FieldInfo) -> str:
    """The finding that a field always comes with; empty for none."""
    extra = field.json_schema_extra
    return str(extra.get("code", "")) if isinstance(extra, dict) else ""


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, alone, optional or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_of(part)) is not None), None)


SERVER = "set by the cluster; not used"


class Metadata(Strict):
    """What a user writes, and what `kubectl get -o yaml` adds to it."""

    name: StrictStr = needed("the object's name")
    namespace: StrictStr = Field("default", description="the namespace it is made in; `default` if left out")
    labels: Labels = empty("labels; those of a Workspace are on no object (`unused-metadata`)", dict)
    annotations: Labels = empty("annotations; KAITO's and ours are listed below", dict)
    uid: Any = described(SERVER, "server-field")
    resource_version: Any = described(SERVER, "server-field")
    creation_timestamp: Any = described(SERVER, "server-field")
    deletion_timestamp: Any = described(SERVER, "server-field")
    deletion_grace_period_seconds: Any = described(SERVER, "server-field")
    generation: Any = described(SERVER, "server-field")
    managed_fields: Any = described(SERVER, "server-field")
    owner_references: Any = described(SERVER, "server-field")
    finalizers: Any = described(SERVER, "server-field")
    self_link: Any = described(SERVER, "server-field")


class MatchExpression(Strict):
    """One condition of a label selector."""

    key: StrictStr = needed("the label's key")
    operator: StrictStr = needed("only `In`")
    values: Names = empty("exactly one value", list)


class LabelSelector(Strict):
    """Which nodes: everything must become one label each."""

    match_labels: Labels = empty("labels of the nodes: new nodes get them, existing nodes are chosen by them", dict)
    match_expressions: list[MatchExpression] = empty("the same, each with `In` and one value", list)


class Partition(Strict):
    """A part of a node's GPUs, on nodes that exist already."""

    mode: Literal["mig", "accelerator"] = needed("`accelerator`: whole GPUs; `mig`: a slice of one")
    profile: StrictStr | None = described("the MIG profile, such as `1g.10gb`; only for `mig`")
    count: StrictInt | None = described("whole GPUs for each pod; only for `accelerator`", ge=1)


class Resource(Strict):
    """Which nodes."""

    count: StrictInt | None = described(
        "number of nodes for a template and for the transformers runtime; the vLLM runtime is sized by the plan",
        "deprecated-field",
        ge=1,
    )
    instance_type: StrictStr | None = described(
        "VM size of the nodes that are made; left out on nodes that exist already"
    )
    label_selector: LabelSelector = needed("which nodes; may be `{}`")
    preferred_nodes: Names | None = described("chooses nothing, as in KAITO", "deprecated-field")
    partition: Partition | None = described("a part of a node's GPUs, on nodes that exist already (v1beta1)")


class PresetOptions(Strict):
    """More about a preset."""

    image: StrictStr | None = described(
        "the model's weights as an OCI artefact; KAITO 0.12 no longer reads it", "deprecated-field"
    )
    image_pull_secrets: Names = empty("at most one Secret with the login for that registry", list)
    model_access_secret: StrictStr | None = described("a Secret with the key `HF_TOKEN`, for gated models (v1beta1)")


class Preset(Strict):
    """A model that is known by name."""

    name: StrictStr = needed("the preset's name, or `organisation/model` of Hugging Face (v1beta1)")
    access_mode: Literal["public", "private"] | None = described(
        "decides nothing; a v1alpha1 file with `private` must name `presetOptions.image`", "deprecated-field"
    )
    preset_options: PresetOptions | None = described("more about it")


class Source(Strict):
    """Where data or an adapter comes from."""

    name: StrictStr | None = described(
        "an adapter's name, by which clients ask for it (needed); of tuning data only a word for it"
    )
    urls: Names = empty("tuning data to download: http or https, not in a private network; not for adapters", list)
    volume_source: dict[str, Any] | None = described("a volume, in Kubernetes' own form")
    image: StrictStr | None = described("a container image with `/data`")
    image_pull_secrets: Names = empty("at most one Secret with the login for the image's registry", list)


class Destination(Strict):
    """Where the tuned adapter goes."""

    volume_source: dict[str, Any] | None = described("a volume, in Kubernetes' own form")
    image: StrictStr | None = described("the image that is pushed")
    image_push_secret: StrictStr | None = described("the Secret with the login for its registry; needed with an image")


class Adapter(Strict):
    """A fine-tuned adapter that is served with the model."""

    source: Source = needed("where it is: an image or a volume, and a name")
    strength: StrictStr | None = described("weight from 0 to 1, in quotes; only for the transformers runtime")


class Inference(Strict):
    """What is served: exactly one of preset and template."""

    preset: Preset | None = described("a model that is known by name")
    template: dict[str, Any] | None = described(
        "your own pod template, in Kubernetes' form; labels, placement and tolerations are added"
    )
    config: StrictStr | None = described("a ConfigMap with the key `inference_config.yaml`")
    adapters: list[Adapter] = empty("at most ten adapters of the preset", list)


class Tuning(Strict):
    """What is fine-tuned, from what, to where."""

    preset: Preset = needed("the model that is tuned")
    method: StrictStr = needed("`lora` or `qlora`, in any case")
    config: StrictStr | None = described(
        "a ConfigMap with the key `training_config.yaml`; KAITO's defaults if left out"
    )
    input: Source = needed("the data: exactly one of urls, volumeSource and image")
    output: Destination = needed("where the adapter goes: exactly one of image and volumeSource")


class WorkspaceFile(Strict):
    """A Workspace: exactly one of inference and tuning."""

    api_version: Literal["kaito.sh/v1alpha1", "kaito.sh/v1beta1"] = needed("KAITO's API version")
    kind: Literal["Workspace"] = needed("the kind")
    metadata: Metadata = needed("name, namespace, labels and annotations")
    resource: Resource = needed("which nodes")
    inference: Inference | None = described("what is served")
    tuning: Tuning | None = described("what is fine-tuned")
    status: Any = described(SERVER, "server-field")


class TemplateMetadata(Strict):
    """What every replica has."""

    labels: Labels = empty("labels; those of a Workspace are on no object (`unused-metadata`)", dict)
    annotations: Labels = empty("annotations of a Workspace, as in its own file", dict)


class TemplateResource(Strict):
    """Which nodes a replica has."""

    instance_type: StrictStr | None = described("as in a Workspace")
    partition: Partition | None = described("as in a Workspace")


class ReplicaTemplate(Strict):
    """The Workspace that is replicated; it serves."""

    metadata: TemplateMetadata | None = described("labels and annotations of each replica")
    resource: TemplateResource | None = described("which nodes")
    inference: Inference = needed("what is served")


class InferenceSetSpec(Strict):
    """How many, of what."""

    replicas: StrictInt | None = described("how many Workspaces; 1 if left out", ge=0)
    label_selector: LabelSelector = needed("`resource.labelSelector` of each replica")
    template: ReplicaTemplate = needed("the Workspace that is replicated")
    node_count_limit: StrictInt | None = described("decides nothing, as in KAITO", "unused-field")
    update_strategy: dict[str, Any] | None = described(
        "decides nothing, as in KAITO: replicas change one after the other", "unused-field"
    )
    auto_upgrade: dict[str, Any] | None = described("`enabled: true` is refused: no controller upgrades images here")


class InferenceSetFile(Strict):
    """Replicas of a Workspace behind one Service."""

    api_version: Literal["kaito.sh/v1alpha1", "kaito.sh/v1beta1"] = needed("KAITO's API version")
    kind: Literal["InferenceSet"] = needed("the kind")
    metadata: Metadata = needed("name, namespace, labels and annotations")
    spec: InferenceSetSpec = needed("how many, of what")
    status: Any = described(SERVER, "server-field")


class ConfigMapFile(Strict):
    """A ConfigMap that is made with the Workspace."""

    api_version: Literal["v1"] = needed("`v1`")
    kind: Literal["ConfigMap"] = needed("the kind")
    metadata: Metadata = needed("name, namespace, labels and annotations")
    data: Labels = empty("text by key", dict)
    binary_data: Any = described("nothing here reads binary data", "unsupported-field")
    immutable: bool | None = described("`true` would stand in the way of the next update", "unsupported-field")


class SecretFile(Strict):
    """A Secret that is made with the Workspace; its values are Pulumi secrets."""

    api_version: Literal["v1"] = needed("`v1`")
    kind: Literal["Secret"] = needed("the kind")
    metadata: Metadata = needed("name, namespace, labels and annotations")
    type: StrictStr = Field("Opaque", description="`Opaque` if left out")
    data: Labels = empty("base64 by key", dict)
    string_data: Labels = empty("plain text by key", dict)
    immutable: bool | None = described("`true` would stand in the way of the next update", "unsupported-field")


KINDS: dict[str, type[Strict]] = {
    "Workspace": WorkspaceFile,
    "InferenceSet": InferenceSetFile,
    "ConfigMap": ConfigMapFile,
    "Secret": SecretFile,
}
LISTS = {"List", *(f"{kind}List" for kind in KINDS)}
NOT_YET = ("RAGEngine", "MultiRoleInference", "ModelMirror")
