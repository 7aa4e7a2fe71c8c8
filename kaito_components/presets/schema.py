"""The shape of a preset's file, checked field by field. Called by lookup; docs/presets.md is made from it.

What is not known stands in `unknown` and nowhere else: a number is never guessed.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kaito_components.errors import KaitoError
from kaito_components.presets.model import Preset, PresetRuntime, TuningPreset
from kaito_components.presets.sources import SOURCES
from kaito_components.units import parse_bytes

Count = Annotated[int, Field(gt=0, strict=True)]
Quantity = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(Ki|Mi|Gi|Ti)$|^\d+$")]
Id = Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Text = Annotated[str, StringConstraints(min_length=1)]

FACTS = ("revision", "redistributable", "parameters", "head_size")  # known, or in `unknown`
FOR_TUNING = ("parameters", "head_size", "intermediate_size", "vocabulary_size")  # what tuning memory is computed from
UNSOURCED = {"model", "aliases", "sources", "unknown"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TuningPart(_Strict):
    """How the model is fine-tuned; absent: it cannot be."""

    disk: Quantity = Field(description="what a node's disk must hold to tune it")
    target_modules: list[Text] = Field(min_length=1, description="the linear layers that get an adapter by default")
    weights_image: Text | None = Field(None, description="KAITO's OCI artefact of the weights")


class PresetFile(_Strict):
    """One file of `presets/`."""

    model: Id = Field(description="Hugging Face id")
    aliases: list[Name] = Field(default=[], description="older names that mean this preset")
    revision: Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$")] | None = Field(
        None, description="commit of the Hugging Face repository that is served"
    )
    license: Text = Field(description="key of the table of licences below; Hugging Face's where it has one")
    redistributable: bool | None = Field(None, description="whether the licence lets others publish the weights")
    gated: bool = Field(False, description="whether Hugging Face asks for a token of somebody who accepted the licence")
    parameters: Count | None = Field(None, description="how many numbers the model has")
    weights: Quantity = Field(description="size of the weight files that are loaded")
    dtype: Literal["bfloat16", "float16", "float32", "auto"] = Field(
        description="what it computes in; `auto`: as its quantization wants it"
    )
    quantization: Text | None = Field(
        None, description="method by which the weights are packed: fp8, awq, gptq, mxfp4 …"
    )
    quantization_bits: Count | None = Field(None, description="bits a packed weight has")
    context_length: Count = Field(description="tokens the model can attend to")
    architectures: list[Text] = Field(min_length=1, description="class names as in config.json")
    hidden_size: Count = Field(description="width of a layer")
    layers: Count = Field(description="how many layers, of all kinds")
    heads: Count = Field(description="attention heads")
    kv_heads: Count = Field(description="heads of keys and values")
    head_size: Count | None = Field(None, description="width of a head")
    intermediate_size: Count | None = Field(None, description="width of the feed-forward layers")
    vocabulary_size: Count | None = Field(None, description="how many tokens there are")
    kv_lora_rank: Count | None = Field(None, description="multi-head latent attention: width of the compressed cache")
    rope_head_size: Count | None = Field(None, description="multi-head latent attention: width of the rotary part")
    attention_layers: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        None, description="layers that keep keys and values of the whole context; absent: all of them"
    )
    window_layers: Count | None = Field(None, description="layers that keep those of the last `window_tokens` only")
    window_tokens: Count | None = Field(None, description="length of the sliding window")
    kv_bytes_per_token: Count = Field(description="keys and values of one token, two bytes each, in every layer")
    runtimes: list[PresetRuntime] = Field(min_length=1, description="what can serve it")
    load_format: Literal["auto", "mistral"] = Field("auto", description="form of weights and configuration")
    tokenizer_mode: Text = Field("auto", description="vLLM's `--tokenizer-mode`")
    chat_template: Text | None = Field(None, description="file in KAITO's base image, below /workspace/chat_templates")
    tool_call_parser: Text | None = Field(None, description="vLLM's parser of tool calls")
    reasoning_parser: Text | None = Field(None, description="vLLM's parser of reasoning")
    vllm_arguments: list[Text] = Field(default=[], description="more arguments for vLLM")
    cpu_cache: bool = Field(True, description="whether KAITO's image may keep keys and values in the node's memory")
    deep_gemm: bool = Field(False, description="whether vLLM uses DeepGEMM's kernels")
    cuda_toolkit: bool = Field(False, description="whether the image needs CUDA's compiler, fetched once a node")
    disk: Quantity = Field(description="what a node's disk must hold to serve it")
    tuning: TuningPart | None = Field(None, description="how it is fine-tuned; absent: it cannot be")
    unknown: list[Text] = Field(default=[], description="fields that no source tells")
    sources: dict[str, list[str]] = Field(
        description="for each source the fields that come from it; a short name of the table below, or a sentence"
    )

    @model_validator(mode="after")
    def _agrees(self) -> "PresetFile":
        problems = [*_about_unknown(self), *_about_sources(self)]
        if self.heads % self.kv_heads:
            problems.append(f"heads ({self.heads}) is no multiple of kv_heads ({self.kv_heads})")
        if (self.window_layers is None) != (self.window_tokens is None):
            problems.append("window_layers and window_tokens go together")
        if self.window_layers and self.attention_layers is None:
            problems.append("window_layers needs attention_layers beside it")
        if self.tuning:
            problems += [f"{name} is needed to tune" for name in FOR_TUNING if getattr(self, name) is None]
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _about_unknown(file: PresetFile) -> list[str]:
    missing = [name for name in FACTS if getattr(file, name) is None and name not in file.unknown]
    known = [name for name in file.unknown if getattr(file, name, None) is not None]
    return [f"{name} is neither given nor in unknown" for name in missing] + [
        f"{name} is given and in unknown" for name in known
    ]


def _about_sources(file: PresetFile) -> list[str]:
    """Every field that is given has exactly one source, and every source is one that can be found."""
    cited = [field for fields in file.sources.values() for field in fields]
    given = {name for name in file.model_fields_set - UNSOURCED - {"tuning"} if getattr(file, name) is not None}
    given |= {f"tuning.{name}" for name in (file.tuning.model_fields_set if file.tuning else ())}
    problems = [f"{name} has no source" for name in sorted(given - set(cited))]
    problems += [f"{name} has a source, but no value" for name in sorted(set(cited) - given)]
    problems += [f"{name} has two sources" for name in sorted({one for one in cited if cited.count(one) > 1})]
    short = [name for name in file.sources if name not in SOURCES and " " not in name and "://" not in name]
    return problems + [f"{name} is not a known source; write a sentence or an address" for name in short]


def check(name: str, values: Any, place: str) -> Preset:
    """The preset of that content.

    Raises:
        KaitoError: it is none; the message says place and fields.
    """
    try:
        return _to_preset(name, PresetFile.model_validate(values))
    except ValidationError as problem:
        lines = [f"{place}: {_place(one['loc'])}{one['msg']}" for one in problem.errors()]
        raise KaitoError("\n".join(lines)) from None


def parse(path: Path) -> Preset:
    """The preset in that file.

    Raises:
        KaitoError: the file is not a preset; the message says file and fields.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text())
    except (OSError, UnicodeDecodeError, YAMLError) as problem:
        raise KaitoError(f"{path}: cannot be read as YAML: {problem}") from None
    return check(path.stem, values, str(path))


def _place(loc: tuple[int | str, ...]) -> str:
    return f"{'.'.join(str(part) for part in loc)}: " if loc else ""


def _to_preset(name: str, file: PresetFile) -> Preset:
    """The checked file as the package's own value."""
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in file
        if key not in ("weights", "disk", "tuning", "sources", "window_layers")
    }
    return Preset(
        name=name,
        weights_bytes=parse_bytes(file.weights),
        disk_bytes=parse_bytes(file.disk),
        window_layers=file.window_layers or 0,
        sources={source: tuple(fields) for source, fields in file.sources.items()},
        tuning=_tuning(file.tuning) if file.tuning else None,
        **plain,
    )


def _tuning(part: TuningPart) -> TuningPreset:
    return TuningPreset(parse_bytes(part.disk), tuple(part.target_modules), part.weights_image)
