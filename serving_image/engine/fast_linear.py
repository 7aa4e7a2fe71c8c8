"""Linear layers that read their input once and their weights in the CPU's own layout. Called when the model is loaded.

Only for 16-bit models: layers that are fed the same input (queries, keys and values; on GPUs gate and up) become one
multiplication, and on CPUs the weights are laid out once for oneDNN, which otherwise does it in every step, and gate
and up apply SiLU and the product themselves. Any of it may change the last bit of a sum, so float32 models, whose
tokens are those of `generate`, stay as they are.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from serving_image.engine import heap, memory

ATTENTION, NETWORK = ("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")
_pointwise = torch.ops.mkldnn._linear_pointwise
PACKED_ROWS = 16  # the batch for which oneDNN chooses the layout; others work with it too


class Packed(nn.Module):
    """A linear layer in oneDNN's layout. `weight` is gone: it lives in `packed` alone."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), PACKED_ROWS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        return _pointwise(x, self.packed, self.bias, "none", [], "")


class Shared:
    """One multiplication for several layers: the first that is called computes it, the others take their part."""

    def __init__(self, linear: nn.Module, sizes: Sequence[int]) -> None:
        self.linear = linear
        self._sizes = list(sizes)
        self._input: torch.Tensor | None = None
        self._parts: list[torch.Tensor] = []

    def whole(self, x: torch.Tensor) -> torch.Tensor:
        """The output of all layers side by side."""
        output: torch.Tensor = self.linear(x)
        return output

    def part(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """The output of one of the layers."""
        if self._input is not x:
            self._input = x
            self._parts = list(self.whole(x).split(self._sizes, -1))
        if index == len(self._sizes) - 1:
            self._input = None  # the last layer has asked: nothing is kept
        return self._parts[index]


class Part(nn.Module):
    """Stands where one of the layers was."""

    def __init__(self, shared: Shared, index: int, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.shared = shared
        self._index = index

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out)."""
        return self.shared.part(self._index, x)


def speed_up(model: Any) -> None:
    """Replace what can be replaced; quantized and unknown layers stay."""
    if model.dtype not in (torch.bfloat16, torch.float16):
        return
    on_cpu = model.device.type == "cpu"
    # a list of all modules would keep every weight that is replaced until the last one is
    parents = [module for module in model.modules() if any(type(child) is nn.Linear for child in module.children())]
    for module in parents:
        for names in (ATTENTION,) if on_cpu else (ATTENTION, NETWORK):
            _join(module, names)
    if on_cpu:
        for module in parents:
            for name in [name for name, child in module.named_children() if type(child) is nn.Linear]:
                setattr(module, name, _packed(getattr(module, name)))
            heap.give_back()
        for module in model.modules():
            for value in vars(module).values():
                if isinstance(value, Shared) and type(value.linear) is nn.Linear:
                    value.linear = _packed(value.linear)
        files = memory.mapped()
        for parameter in model.parameters():  # what is left, so that the file's mapping goes, which RSS counts
            in_file = any(parameter.data_ptr() in each for each in files)
            if in_file and parameter.is_floating_point():  # quantized ones keep what belongs to them
                parameter.data = parameter.data.clone()
        heap.give_back()


def _packed(linear: nn.Linear) -> nn.Module:
    try:
        return Packed(linear)
    except RuntimeError:  # this CPU or build of PyTorch has no such layout
        return linear


def _join(module: nn.Module, names: Sequence[str]) -> None:
    layers = [getattr(module, name, None) for name in names]
    if not all(type(layer) is nn.Linear for layer in layers):
        return
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if len({(layer.in_features, layer.bias is None) for layer in linears}) > 1:
        return
    sizes = [layer.out_features for layer in linears]
    first = linears[0]
    joined = nn.Linear(first.in_features, sum(sizes), bias=first.bias is not None, device="meta")
    joined.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in linears]), requires_grad=False)
    if first.bias is not None:
        joined.bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in linears]), requires_grad=False)
    shared = Shared(joined, sizes)
    for index, (name, layer) in enumerate(zip(names, linears, strict=True)):
        setattr(module, name, Part(shared, index, layer))
