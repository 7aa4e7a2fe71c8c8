"""The loss in pieces is the loss of all logits at once, gradients included."""

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tuning_image.training import fused


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "PIECE_BYTES", 1)  # sixteen tokens at a time


def both(kind: torch.dtype, bias: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(losses, gradient) in pieces and at once, of 70 tokens that count differently."""
    torch.manual_seed(0)
    head = torch.nn.Linear(32, 500, bias=bias, dtype=kind).requires_grad_(False)
    hidden, targets, counts = torch.randn(70, 32, dtype=kind), torch.randint(0, 500, (70,)), torch.rand(70)
    results = []
    for losses_of in (fused.token_losses, lambda h, head, t: cross_entropy(head(h).float(), t, reduction="none")):
        own = hidden.clone().requires_grad_()
        losses = losses_of(own, head, targets)
        (losses * counts).sum().backward()
        assert own.grad is not None
        results.append((losses.detach(), own.grad))
    return results


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("bias", [False, True])
def test_pieces_have_the_loss_and_the_gradient_of_the_whole(kind: torch.dtype, tolerance: float, bias: bool) -> None:
    (losses, gradient), (whole, whole_gradient) = both(kind, bias)
    torch.testing.assert_close(losses, whole, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient, whole_gradient, rtol=tolerance, atol=tolerance)


def test_a_hidden_state_that_accelerate_made_float32_meets_a_head_in_16_bits() -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(32, 500, dtype=torch.bfloat16).requires_grad_(False)
    hidden, targets = torch.randn(40, 32, requires_grad=True), torch.randint(0, 500, (40,))
    fused.token_losses(hidden, head, targets).sum().backward()
    whole = cross_entropy(head.float()(hidden.detach()), targets, reduction="none")
    torch.testing.assert_close(fused.token_losses(hidden, head.bfloat16(), targets), whole, rtol=2e-2, atol=2e-2)
    assert hidden.grad is not None and hidden.grad.dtype == torch.float32


@pytest.mark.parametrize(("name", "value"), [("final_logit_softcapping", 30.0), ("logits_scaling", 8.0)])
def test_a_model_that_changes_its_logits_takes_the_usual_way(tiny_folder: Any, name: str, value: float) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_folder).requires_grad_(False)
    assert fused.frozen_head(model) is model.lm_head
    setattr(model.config, name, value)
    assert fused.frozen_head(model) is None


def test_a_trained_output_layer_takes_the_usual_way(tiny_folder: Any) -> None:
    from transformers import AutoModelForCausalLM

    assert fused.frozen_head(AutoModelForCausalLM.from_pretrained(tiny_folder)) is None
