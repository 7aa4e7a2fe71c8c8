"""Frozen linear layers with LoRA on them, with a gradient written by hand. Called by training.lean.

peft adds an adapter in three passes over the layer's output, and autograd keeps what each of them needs. Here the
adapter is added by the multiplication itself, layers of the same input share one small multiplication each way, and
their gradients meet in one sum. Sums are in the type of the layer, of weights that the optimizer changes in float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import layer as peft_layer
from torch.nn.functional import linear


@dataclass(frozen=True)
class Part:
    """A frozen layer and, unless `first` is None, the adapter: scale * second @ first, (out, r) and (r, in)."""

    base: torch.nn.Linear
    first: torch.nn.Parameter | None = None
    second: torch.nn.Parameter | None = None
    scale: float = 1.0


class Adapted(peft_layer.Linear):
    """peft's layer; what `part_of` does not understand is computed as peft does it."""

    def forward(self, x: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        if more or named or not _fits(x, part_of(self)):
            found: torch.Tensor = super().forward(x, *more, **named)
            return found
        return together(x, self)[0]


def part_of(layer: Any) -> Part | None:
    """What it computes now; None where that is more than a frozen layer and one plain adapter."""
    if type(layer) is torch.nn.Linear:
        return None if _trained(layer) else Part(layer)
    if not isinstance(layer, Adapted) or layer.merged:
        return None
    base, active = layer.base_layer, [name for name in layer.active_adapters if name in layer.lora_A]
    if type(base) is not torch.nn.Linear or _trained(base):
        return None
    if layer.disable_adapters or not active:
        return Part(base)
    name, dropout = active[0], layer.lora_dropout[active[0]]
    drops = layer.training and not isinstance(dropout, torch.nn.Identity)
    if len(active) > 1 or drops or layer.lora_variant or layer.lora_bias[name]:
        return None
    return Part(base, layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name])


def _trained(layer: torch.nn.Linear) -> bool:
    return any(parameter.requires_grad for parameter in layer.parameters())


def _fits(x: torch.Tensor, part: Part | None) -> bool:
    return part is not None and part.base.weight.dtype == x.dtype


def together(x: torch.Tensor, *layers: Any) -> Sequence[torch.Tensor]:
    """x (..., in) → what each layer makes of it, (..., out)."""
    parts = [part for part in map(part_of, layers) if part is not None and _fits(x, part)]
    if len(parts) < len(layers):
        return [layer(x) for layer in layers]
    trained = [matrix for part in parts for matrix in (part.first, part.second) if matrix is not None]
    flat = _Together.apply(x.reshape(-1, x.shape[-1]), parts, *trained)
    return [each.view(*x.shape[:-1], -1) for each in flat]


class _Together(torch.autograd.Function):
    """x (T, in), parts, their `first` and `second` in turn → (T, out) of each part."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, parts: Sequence[Part], *trained: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = tuple(linear(x, part.base.weight, part.base.bias) for part in parts)
        ctx.parts, ctx.ranks = parts, [len(first) for first in trained[0::2]]
        if not trained:
            return outputs
        stacked, seconds = torch.cat(trained[0::2]).to(x.dtype), [second.to(x.dtype) for second in trained[1::2]]
        low = x @ stacked.T
        adapted = [(out, part) for out, part in zip(outputs, parts, strict=True) if part.first is not None]
        for (out, part), share, second in zip(adapted, low.split(ctx.ranks, 1), seconds, strict=True):
            out.addmm_(share, second.T, alpha=part.scale)
        ctx.save_for_backward(x, low, stacked, *seconds)
        return outputs

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        wanted = None
        if ctx.needs_input_grad[0]:
            wanted = upstream[0] @ ctx.parts[0].base.weight
            for gradient, part in zip(upstream[1:], ctx.parts[1:], strict=True):
                wanted.addmm_(gradient, part.base.weight)
        if not ctx.ranks:
            return wanted, None
        x, low, stacked, *seconds = ctx.saved_tensors
        adapted = [(g, part.scale) for g, part in zip(upstream, ctx.parts, strict=True) if part.first is not None]
        back = torch.cat([(g @ b).mul_(scale) for (g, scale), b in zip(adapted, seconds, strict=True)], 1)
        if wanted is not None:
            wanted.addmm_(back, stacked)
        firsts = (back.T @ x).float().split(ctx.ranks)
        shares = zip(adapted, low.split(ctx.ranks, 1), strict=True)
        found = [(g.T @ share).float().mul_(scale) for (g, scale), share in shares]
        return wanted, None, *(one for pair in zip(firsts, found, strict=True) for one in pair)
