"""Cross entropy without the logits of all tokens in memory: the output layer and its loss, piece by piece.

Called by training.losses. The gradient of each piece is made with its loss, since both need the same logits; they are
then dropped. Right for a frozen output layer alone: no gradient of its weights is made.
"""

from typing import Any

import torch
from torch.nn.functional import linear

PIECE_BYTES = 128 << 20  # of float32 logits at a time
CACHED_BYTES = 2 << 20  # of them while their loss is taken
SCALED = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier_scale")


def frozen_head(model: Any) -> torch.nn.Linear | None:
    """The output layer, if the logits are its output and nothing else and it is not trained."""
    head = model.get_output_embeddings()
    changed = any(getattr(model.config, name, None) not in (None, 1.0) for name in SCALED)
    return head if type(head) is torch.nn.Linear and not head.weight.requires_grad and not changed else None


def token_losses(hidden: torch.Tensor, head: torch.nn.Linear, targets: torch.Tensor) -> torch.Tensor:
    """hidden (K, D), targets (K,) → the cross entropy of each, (K,) in float32."""
    found: torch.Tensor = _Pieces.apply(hidden, head.weight, head.bias, targets)
    return found


class _Pieces(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: Any, targets: torch.Tensor) -> torch.Tensor:
        found = torch.empty(len(targets), device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        step = max(16, PIECE_BYTES // (4 * len(weight)))
        for start in range(0, len(targets), step):
            at = slice(start, start + step)
            logits = linear(hidden[at].to(weight.dtype), weight, bias)
            found[at] = _losses(logits, targets[at, None], gradient is not None)
            if gradient is not None:
                gradient[at] = logits @ weight
        ctx.save_for_backward(gradient)
        return found

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return (upstream[0][:, None] * gradient).to(gradient.dtype), None, None, None


def _losses(logits: torch.Tensor, targets: torch.Tensor, with_gradient: bool) -> torch.Tensor:
    """logits (n, V), targets (n, 1) → (n,); of the logits then only their own gradient is left, if it is wanted.

    On a CPU so few rows at a time that their float32 numbers stay in its cache.
    """
    found = torch.empty(len(logits), device=logits.device)
    few = max(1, CACHED_BYTES // (4 * logits.shape[1])) if logits.device.type == "cpu" else len(logits)
    for start in range(0, len(logits), few):
        at = slice(start, start + few)
        full = logits[at].float()
        largest, own = full.amax(1, keepdim=True), full.gather(1, targets[at])
        shares = torch.softmax(full, 1)
        total = largest - shares.amax(1, keepdim=True).log_()  # the logarithm of the sum of exponentials
        found[at] = (total - own)[:, 0]
        if with_gradient:
            logits[at] = shares.scatter_add_(1, targets[at], torch.full_like(total, -1.0))
    return found
