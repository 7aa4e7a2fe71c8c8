"""RMS norm, rotary positions and the gate of Llama's layers, with gradients written by hand. Called by training.lean.

The same numbers as transformers' layers give, in fewer passes over memory, and keeping no more than the inputs.
"""

from typing import Any

import torch
from torch.nn.functional import silu


def normed(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """RMS norm over the last dimension, with a frozen weight."""
    found: torch.Tensor = _Normed.apply(x, weight, epsilon)
    return found


class _Normed(torch.autograd.Function):
    """In float32 up to the weight, as transformers does it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        full = x.float()
        length = torch.linalg.vector_norm(full, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (full * scale).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        x, weight, scale = ctx.saved_tensors
        gradient, unit = (upstream[0] * weight).float(), x.float() * scale
        along = (gradient * unit).mean(-1, keepdim=True)
        return gradient.addcmul_(unit, along, value=-1).mul_(scale).to(x.dtype), None, None


def turned(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """states (T, H, D) by the angles of each token, cos and sin (T, D) with two equal halves → (H, T, D)."""
    found: torch.Tensor = _Turned.apply(states, cos, sin)
    return found


class _Turned(torch.autograd.Function):
    """The way back is the other way round."""

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(states.transpose(0, 1), cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        return _turn(upstream[0].transpose(0, 1), cos[:, None], sin[:, None], -1), None, None


def _turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, way: int) -> torch.Tensor:
    half = x.shape[-1] // 2
    found = torch.mul(x, cos, out=x.new_empty(x.shape))
    found[..., :half].addcmul_(x[..., half:], sin[..., half:], value=-way)
    found[..., half:].addcmul_(x[..., :half], sin[..., :half], value=way)
    return found


def gated(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up."""
    found: torch.Tensor = _Gated.apply(gate, up)
    return found


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        gate, up = ctx.saved_tensors
        of_gate = torch.ops.aten.silu_backward(upstream[0] * up, gate)
        return of_gate, silu(gate).mul_(upstream[0])
