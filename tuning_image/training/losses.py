"""What is minimised: cross entropy of the learned tokens, or DPO or ORPO of pairs. Called by training.trainer.

Sources: DPO, arXiv 2305.18290 equation 7; ORPO, arXiv 2403.07691 equations 6 and 7.
"""

from typing import Any

import torch
from torch.nn.functional import cross_entropy, logsigmoid
from torch.nn.parallel import DistributedDataParallel

from tuning_image.training import fused


def token_losses(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Cross entropy of each learned token, (K,); the logits of no other token are computed."""
    head = fused.frozen_head(bare(model))
    if head is None:
        return cross_entropy(_output(model, batch)[0].float(), batch["targets"], reduction="none")
    head.forward = _as_it_is  # the model then gives what goes into its output layer
    try:
        hidden = _output(model, batch)
    finally:
        del head.forward
    return fused.token_losses(hidden[0], head, batch["targets"])


def bare(model: Any) -> Any:
    """The model inside what accelerate puts around it to share gradients."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def _as_it_is(hidden: torch.Tensor) -> torch.Tensor:
    return hidden


def _output(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    found: torch.Tensor = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        segments=batch["segments"],
        logits_to_keep=batch["keep"],
        use_cache=False,
    ).logits
    return found


def pair_losses(model: Any, batch: dict[str, Any], kind: str, beta: float) -> torch.Tensor:
    """The loss of each pair, (P,)."""
    chosen, rejected, counts = _log_probabilities(model, batch)
    if kind == "orpo":
        chosen, rejected = chosen / counts[0::2], rejected / counts[1::2]
        odds = (chosen - rejected) - (torch.log1p(-chosen.exp()) - torch.log1p(-rejected.exp()))
        return -chosen - beta * logsigmoid(odds)
    with torch.no_grad(), bare(model).disable_adapter():
        base_chosen, base_rejected, _ = _log_probabilities(bare(model), batch)
    return -logsigmoid(beta * ((chosen - base_chosen) - (rejected - base_rejected)))


def _log_probabilities(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sum over the tokens of each chosen and each rejected row, (P,) each; and tokens per row, (2P,)."""
    losses = token_losses(model, batch)
    rows = len(batch["segments"])
    sums = torch.zeros(rows, device=losses.device).index_add(0, batch["owner"], -losses)
    counts = torch.bincount(batch["owner"], minlength=rows)
    return sums[0::2], sums[1::2], counts
