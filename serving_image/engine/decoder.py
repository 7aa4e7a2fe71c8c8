"""A lean forward pass for models built like Llama: the same sums in a quarter of the calls. Called by forward.py.

A small model's step is bound by what each operation costs to start, so layers are not called as modules: queries,
keys and values come from one multiplication and are turned together, and a linear layer adds its residual itself where
it can. Only models whose layers are known to be exactly these take this way; all others run their own code.
"""

from typing import Any

import torch
import torch.nn.functional as F
from transformers import LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM

from serving_image.engine import packed_layers
from serving_image.engine.attention import Step, attend_rows
from serving_image.engine.fast_linear import Part
from serving_image.engine.lora import LoraLinear, add_to
from serving_image.engine.packed_layers import PackedLayers, norm
from serving_image.engine.scoring import Scoring

EVERY_LENGTH, LINE_STEP = 8, 16  # lengths of a line on CPUs: AMX multiplies 16 rows at a time anyway
KNOWN = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)


def understands(model: Any) -> bool:
    """Its layers are exactly those below, and see all tokens."""
    return (
        type(model) in KNOWN
        and model.config.hidden_act == "silu"
        and getattr(model.config, "sliding_window", None) is None
    )


class Decoder:
    """The whole model."""

    def __init__(self, model: Any) -> None:
        self._inner = model.model
        self._head = model.lm_head
        self._norm = Norm(model.model.norm)
        layers = model.model.layers
        self._packed = PackedLayers(layers) if packed_layers.are_packed(layers) else None
        self._layers = [] if self._packed else [Layer(layer) for layer in layers]
        self._fills = model.device.type == "cpu" and model.dtype != torch.float32

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, ends: torch.Tensor | slice, step: Step
    ) -> torch.Tensor:
        """Logits (n, V) at the places `ends` of a line of tokens `ids` (T,)."""
        x = self._inner.embed_tokens(ids)
        cos, sin = (each[0].unsqueeze(1) for each in self._inner.rotary_emb(x, positions[None]))  # (T, 1, D)
        half = sin.shape[-1] // 2
        sin = torch.cat((-sin[..., :half], sin[..., half:]), -1)  # the sign of the half that is turned back
        x, cos, sin = self._filled(x), self._filled(cos), self._filled(sin)
        if self._packed:
            x = self._packed(x, cos, sin, step)
        for layer in self._layers:
            x = layer(x, cos, sin, step)
        chosen = x[ends]
        logits: torch.Tensor = self._head(self._norm(self._filled(chosen)))[: len(chosen)]
        return logits

    def _filled(self, rows: torch.Tensor) -> torch.Tensor:
        """With zeros up to one of few lengths: oneDNN takes as long to make ready for a new one as for some steps."""
        missing = -len(rows) % LINE_STEP
        if not self._fills or len(rows) <= EVERY_LENGTH or not missing:
            return rows
        return F.pad(rows, (0, 0) * (rows.dim() - 1) + (0, missing))


class Norm:
    """RMS norm over the last dimension."""

    def __init__(self, *modules: Any, counts: tuple[int, ...] = ()) -> None:
        weights = [module.weight.detach() for module in modules]
        if counts:  # of heads: (heads, D)
            weights = [torch.cat([w.expand(n, -1) for w, n in zip(weights, counts, strict=True)])]
        self._weight = weights[0]
        self._eps = modules[0].variance_epsilon
        self._epsilon = torch.tensor(self._eps, device=self._weight.device)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """In float32 up to the weight, as transformers does it; on a GPU in one kernel."""
        if x.is_cuda:
            return F.rms_norm(x, x.shape[-1:], eps=self._eps).mul_(self._weight)
        return norm(x, self._weight, self._epsilon)


class Layer:
    """Attention and feed-forward network, each with its norm before and its residual after."""

    def __init__(self, layer: Any) -> None:
        attention = layer.self_attn
        self._attention, self._network = attention, layer.mlp
        self._before, self._between = Norm(layer.input_layernorm), Norm(layer.post_attention_layernorm)
        self._dim = attention.head_dim
        self._keys = attention.k_proj.out_features // self._dim
        self._queries = attention.q_proj.out_features // self._dim
        self._scoring = Scoring(attention.scaling)
        self._heads: Norm | None = None
        if hasattr(attention, "q_norm"):
            self._heads = Norm(attention.q_norm, attention.k_norm, counts=(self._queries, self._keys))

    def __call__(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, step: Step) -> torch.Tensor:
        """(T, H) to (T, H)."""
        attention, network = self._attention, self._network
        states = _together(attention, self._before(x)).view(len(x), -1, self._dim)
        turning = states[:, : self._queries + self._keys]
        if self._heads:
            turning = self._heads(turning)
        turned = torch.addcmul(turning * cos, turning.roll(self._dim // 2, -1), sin)
        queries, keys, values = turned[:, : self._queries], turned[:, self._queries :], states[:, -self._keys :]
        attended = attend_rows(attention.layer_idx, queries, keys, values, step, self._scoring)
        x = _plus(attention.o_proj, attended.reshape(len(x), -1), x)
        return _plus(network.down_proj, _gated(network, self._between(x)), x)


def _together(attention: Any, x: torch.Tensor) -> torch.Tensor:
    """Queries, keys and values side by side."""
    layers = (attention.q_proj, attention.k_proj, attention.v_proj)
    first = layers[0].inner if isinstance(layers[0], LoraLinear) else layers[0]
    if not isinstance(first, Part):
        return torch.cat([layer(x) for layer in layers], -1)
    return add_to(first.shared.whole(x), layers, x)


def _gated(network: Any, x: torch.Tensor) -> torch.Tensor:
    return F.silu(_times(network.gate_proj, x), inplace=True).mul_(_times(network.up_proj, x))


def _times(layer: Any, x: torch.Tensor) -> torch.Tensor:
    return add_to(layer.inner(x), (layer,), x) if isinstance(layer, LoraLinear) else layer(x)


def _plus(layer: Any, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
    return residual + _times(layer, x)
