"""A preset as the rest of the package sees it: frozen values. Made by `schema`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PresetRuntime = Literal["vllm", "transformers"]


@dataclass(frozen=True)
class TuningPreset:
    """How a model is fine-tuned. `weights_image` is KAITO's OCI artefact of the weights, where it publishes one."""

    disk_bytes: int
    target_modules: tuple[str, ...]
    weights_image: str | None = None


@dataclass(frozen=True)
class Preset:
    """One model. Sizes in bytes, lengths in tokens; what is not known is None, and `unknown` names it.

    `kv_bytes_per_token` is KAITO's: two bytes a value, in every layer. `license` is a key of `licenses.csv`;
    `redistributable` says whether it lets others publish the weights. `sources` names, for each source, the fields
    that come from it.
    """

    name: str
    model: str
    license: str
    runtimes: tuple[PresetRuntime, ...]
    weights_bytes: int
    disk_bytes: int  # on a node that serves it: weights and images
    dtype: str  # "auto": as its quantization wants it
    context_length: int
    architectures: tuple[str, ...]
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    kv_bytes_per_token: int
    sources: Mapping[str, tuple[str, ...]]
    revision: str | None = None
    redistributable: bool | None = None
    parameters: int | None = None
    head_size: int | None = None
    intermediate_size: int | None = None  # of the feed-forward layers; with the next one, what tuning memory needs
    vocabulary_size: int | None = None
    kv_lora_rank: int | None = None  # multi-head latent attention
    rope_head_size: int | None = None
    attention_layers: int | None = None  # that keep keys and values of the whole context; None: all
    window_layers: int = 0  # that keep those of the last `window_tokens` only
    window_tokens: int | None = None
    quantization: str | None = None
    quantization_bits: int | None = None
    gated: bool = False
    aliases: tuple[str, ...] = ()
    load_format: Literal["auto", "mistral"] = "auto"  # of weights and configuration
    tokenizer_mode: str = "auto"
    chat_template: str | None = None  # a file in KAITO's base image, below /workspace/chat_templates
    tool_call_parser: str | None = None
    reasoning_parser: str | None = None
    vllm_arguments: tuple[str, ...] = ()
    cpu_cache: bool = True  # whether KAITO's image may keep keys and values in the node's memory (LMCache)
    deep_gemm: bool = False  # whether vLLM uses DeepGEMM's kernels, which are compiled on the node
    cuda_toolkit: bool = False  # whether the image needs CUDA's compiler beside it
    tuning: TuningPreset | None = None
    unknown: tuple[str, ...] = ()

    def cache_bytes(self, tokens: int) -> int:
        """Keys and values of one request of that length, two bytes a value, in the layers that keep them.

        Layers with a sliding window keep the last `window_tokens` only; linear and state-space layers keep none.
        """
        in_layer = self.kv_bytes_per_token // self.layers
        full = self.layers if self.attention_layers is None else self.attention_layers
        return in_layer * (full * tokens + self.window_layers * min(tokens, self.window_tokens or 0))
