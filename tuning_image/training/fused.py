"""Cross entropy without the logits of all tokens in memory: the output layer and its loss, piece by piece.

Called by training.losses. The gradient of each piece is made with its loss, since both need the same logits; they are
then dropped. Right for a frozen output layer alone: no gradient of its weights is made.
"""

from typing import Any

import torch
from torch.nn.functional import linear

PIECE_BYTES = 128 << 20  # of float32 logits at a time
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
        gradient = torch.empty_like(hidden, dtype=torch.float32) if ctx.needs_input_grad[0] else None
        step = max(16, PIECE_BYTES // (4 * len(weight)))
        for start in range(0, len(targets), step):
            at = slice(start, start + step)
            logits = linear(hidden[at].to(weight.dtype), weight, bias).float()
            wanted = targets[at, None]
            total = logits.logsumexp(1, keepdim=True)
            found[at] = (total - logits.gather(1, wanted))[:, 0]
            if gradient is not None:
                shares = logits.sub_(total).exp_()
                shares.scatter_add_(1, wanted, torch.full_like(total, -1.0))
                gradient[at] = (shares.to(weight.dtype) @ weight).float()
        ctx.save_for_backward(gradient)
        return found

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        # hidden's own type: autograd turns float32 into it
        return upstream[0][:, None] * gradient, None, None, None
