"""LoRA's two matrices, kept in float32 and multiplied in the type of what comes in. Called by training.model.

peft turns the input of each adapted layer into float32, multiplies and adds there, and turns the sum back: in a model
of 16 bits that takes about as long as the layer itself. This computes as mixed precision does, in training as in
evaluation: the same sums in 16 bits, of float32 weights that the optimizer changes.
"""

from typing import Any

import torch
from torch.nn.functional import linear


class Narrow(torch.nn.Linear):
    """A linear layer that follows its input's type."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        return linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


def follow_inputs(model: Any) -> None:
    """Lets the adapters of a PeftModel compute in the type of the layers that they change.

    DoRA stays as it is: its norms are taken of what these layers give, and want float32.
    """
    from peft.tuners.lora import LoraLayer

    for layer in [module for module in model.modules() if isinstance(module, LoraLayer) and not module.lora_variant]:
        matrices = [*layer.lora_A.values(), *layer.lora_B.values()]
        if all(type(matrix) is torch.nn.Linear for matrix in matrices):  # not those of embeddings and convolutions
            layer.cast_input_dtype_enabled = False
            for matrix in matrices:
                matrix.__class__ = Narrow
