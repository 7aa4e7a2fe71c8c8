"""The layers of a 16-bit model on a CPU, compiled by TorchScript. Called by decoder.py.

A quarter of such a step of a small model was Python between twenty calls a layer. TorchScript makes the same calls by
itself, and needs no compiler in the image, as torch.compile does. PyTorch calls it deprecated: should a later one lack
it, all of this is plain Python that says the same, slower.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from serving_image.engine import lora
from serving_image.engine.attention import Step, attend_rows
from serving_image.engine.fast_linear import Packed, Part
from serving_image.engine.lora import Change, changed
from serving_image.engine.scoring import Scoring


class Weights(NamedTuple):
    """Of one layer: linear layers in oneDNN's layout."""

    before: torch.Tensor  # (H,) of the norm
    between: torch.Tensor
    heads: torch.Tensor | None  # (query heads + key heads, D) of their norms
    states: torch.Tensor  # queries, keys and values side by side
    states_bias: torch.Tensor | None
    out: torch.Tensor
    out_bias: torch.Tensor | None
    gate: torch.Tensor
    gate_bias: torch.Tensor | None
    up: torch.Tensor
    up_bias: torch.Tensor | None
    down: torch.Tensor
    down_bias: torch.Tensor | None


def norm(x: torch.Tensor, weight: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
    """RMS norm over the last dimension, in float32 up to the weight, as transformers does it."""
    full = x.float()
    length = torch.linalg.vector_norm(full, 2, [-1], True)
    scale = torch.addcmul(epsilon, length, length, value=1.0 / weight.shape[-1]).rsqrt_()
    return (full * scale).to(x.dtype).mul_(weight)


class Changes(NamedTuple):
    """What adapters change of one layer in this step."""

    states: Change | None
    out: Change | None
    gate: Change | None
    up: Change | None
    down: Change | None


class Layers(nn.Module):
    """All layers. What TorchScript compiles: types are those that it knows."""

    weights: list[Weights]

    def __init__(self, weights: list[Weights], queries: int, keys: int, dim: int, epsilon: float, scale: float) -> None:
        super().__init__()
        self.weights = weights
        self.queries, self.keys, self.dim, self.scale = queries, keys, dim, scale
        self.epsilon = torch.tensor(epsilon)

    def before(
        self, layer: int, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, changes: Changes
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values (T, heads, D) of a line (T, H)."""
        weights = self.weights[layer]
        x = norm(x, weights.before, self.epsilon)
        states = torch.ops.mkldnn._linear_pointwise(x, weights.states, weights.states_bias, "none", [], "")
        states = changed(states, x, changes.states).view(x.shape[0], -1, self.dim)
        turning = states[:, : self.queries + self.keys]
        heads = weights.heads
        if heads is not None:
            turning = norm(turning, heads, self.epsilon)
        turned = torch.addcmul(turning * cos, turning.roll(self.dim // 2, -1), sin)
        return turned[:, : self.queries], turned[:, self.queries :], states[:, -self.keys :]

    def after(self, layer: int, x: torch.Tensor, attended: torch.Tensor, changes: Changes) -> torch.Tensor:
        """The line (T, H) behind the layer, of what it was before and what attention made of it (T, heads x D)."""
        weights = self.weights[layer]
        out = torch.ops.mkldnn._linear_pointwise(attended, x, weights.out, weights.out_bias, "add")
        x = changed(out, attended, changes.out)
        normed = norm(x, weights.between, self.epsilon)
        if changes.gate is None and changes.up is None:
            gate = torch.ops.mkldnn._linear_pointwise(normed, weights.gate, weights.gate_bias, "swish", [], "")
            gated = torch.ops.mkldnn._linear_pointwise(normed, gate, weights.up, weights.up_bias, "mul")
        else:
            gate = torch.ops.mkldnn._linear_pointwise(normed, weights.gate, weights.gate_bias, "none", [], "")
            up = torch.ops.mkldnn._linear_pointwise(normed, weights.up, weights.up_bias, "none", [], "")
            gate = changed(gate, normed, changes.gate)
            gated = F.silu(gate, inplace=True).mul_(changed(up, normed, changes.up))
        down = torch.ops.mkldnn._linear_pointwise(gated, x, weights.down, weights.down_bias, "add")
        return changed(down, gated, changes.down)

    def forward(
        self,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        key_lines: list[torch.Tensor],
        value_lines: list[torch.Tensor],
        key_rows: list[torch.Tensor],
        value_rows: list[torch.Tensor],
        places: torch.Tensor,
        mask: torch.Tensor,
        changes: list[Changes],
    ) -> torch.Tensor:
        """One new token for each of the first rows of a pool: attention.attend_rows for the case without detours.

        Args:
            x: (T, H); places behind the rows' tokens only fill the line.
            cos: (T, 1, D); `sin` alike.
            key_lines: Of each layer, (places, key heads, D); `value_lines` alike.
            key_rows: Of each layer, (rows, length, key heads, D); `value_rows` alike.
            places: (rows,) where the new keys and values go.
            mask: (rows, 1, 1, length).
            changes: Of each layer.
        """
        rows, length = mask.shape[0], mask.shape[3]
        for layer in range(len(self.weights)):
            queries, keys, values = self.before(layer, x, cos, sin, changes[layer])
            key_lines[layer].index_copy_(0, places, keys[:rows])
            value_lines[layer].index_copy_(0, places, values[:rows])
            attended = F.scaled_dot_product_attention(
                queries[:rows].view(rows, self.keys, self.queries // self.keys, self.dim),
                key_rows[layer][:rows, :length].transpose(1, 2),
                value_rows[layer][:rows, :length].transpose(1, 2),
                attn_mask=mask,
                scale=self.scale,
            ).reshape(rows, -1)
            if rows < x.shape[0]:
                attended = F.pad(attended, [0, 0, 0, x.shape[0] - rows])
            x = self.after(layer, x, attended, changes[layer])
        return x


class PackedLayers:
    """The layers of a model, as decoder.py calls them."""

    def __init__(self, layers: Sequence[Any]) -> None:
        attention = layers[0].self_attn
        dim = attention.head_dim
        queries, keys = (each.out_features // dim for each in (attention.q_proj, attention.k_proj))
        weights = [_weights(layer, queries, keys) for layer in layers]
        epsilon = layers[0].input_layernorm.variance_epsilon
        self._layers = layers
        self._scoring = Scoring(attention.scaling)
        self._compiled = _compiled(Layers(weights, queries, keys, dim, epsilon, attention.scaling))

    def __call__(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, step: Step) -> torch.Tensor:
        """(T, H) to (T, H)."""
        compiled, changes = self._compiled, [_changes(layer, x) for layer in self._layers]
        if len(step.decodings) == 1 and step.decodings[0].rows is None and not (step.chunks or step.prompts):
            pool, mask, places = step.decodings[0].pool, step.decodings[0].mask, step.writings[0].places
            cached = (pool.keys.lines, pool.values.lines, pool.keys.layers, pool.values.layers)
            output: torch.Tensor = compiled(x, cos, sin, *cached, places, mask, changes)
            return output
        for layer, change in enumerate(changes):
            queries, keys, values = compiled.before(layer, x, cos, sin, change)
            attended = attend_rows(layer, queries, keys, values, step, self._scoring).reshape(len(x), -1)
            x = compiled.after(layer, x, attended, change)
        return x


def are_packed(layers: Sequence[Any]) -> bool:
    """All their linear layers are in oneDNN's layout."""
    return all(
        isinstance(layer.self_attn.q_proj, Part)
        and isinstance(layer.self_attn.q_proj.shared.linear, Packed)
        and all(isinstance(each, Packed) for each in _others(layer))
        for layer in layers
    )


def _others(layer: Any) -> list[Any]:
    return [layer.self_attn.o_proj, layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj]


def _weights(layer: Any, queries: int, keys: int) -> Weights:
    attention, heads = layer.self_attn, None
    if hasattr(attention, "q_norm"):
        counted = ((attention.q_norm, queries), (attention.k_norm, keys))
        heads = torch.cat([each.weight.detach().expand(count, -1) for each, count in counted])
    norms = (layer.input_layernorm.weight.detach(), layer.post_attention_layernorm.weight.detach(), heads)
    linears = (attention.q_proj.shared.linear, *_others(layer))
    return Weights(*norms, *(part for linear in linears for part in (linear.packed, linear.bias)))


def _changes(layer: Any, x: torch.Tensor) -> Changes:
    attention = layer.self_attn
    first = lora.change_of((attention.q_proj, attention.k_proj, attention.v_proj), x)
    return Changes(first, *(lora.change_of((each,), x) for each in _others(layer)))


def _compiled(layers: Layers) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is deprecated; requirements hold the PyTorch that has it
        return torch.jit.script(layers)
