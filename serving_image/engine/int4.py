"""Checkpoints of AWQ and GPTQ: packed weights are unpacked to plain ones while transformers loads them.

Called by precision.py. transformers itself reads them with gptqmodel alone, which needs a compiler; here they become
the numbers that they stand for, as FP8 and MXFP4 do, through transformers' own steps of loading.
Source of the layouts: AutoGPTQ's qlinear_cuda.py (arXiv:2210.17323), AutoAWQ's packing_utils.py (arXiv:2306.00978).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from transformers.core_model_loading import ConversionOps
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import get_module_from_name
from transformers.utils.quantization_config import QuantizationConfigMixin

from serving_image.errors import WeightsError

NAME = "kaito_unpacked"  # in transformers' registers
PACKED = ("qweight", "qzeros", "scales", "g_idx")
WORD = 32  # bits of the integers that the weights are packed into
AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # which piece of a word each of eight columns is
BITS = {"gptq": (2, 4, 8), "awq": (4,)}
FORMATS = {"gptq": ("gptq", "gptq_v2"), "awq": ("gemm",)}


@register_quantization_config(NAME)
class Layout(QuantizationConfigMixin):
    """How a checkpoint is packed; `offset` is what its zero points lack."""

    def __init__(self, method: str, bits: int, group_size: int, offset: int, **_: Any) -> None:
        self.quant_method = NAME
        self.dequantize = True
        self.method, self.bits, self.group_size, self.offset = method, bits, group_size, offset


def layout(method: str, config: Mapping[str, Any], where: str) -> Layout:
    """Of the `quantization_config` of a checkpoint.

    Raises:
        WeightsError: It is packed in another way than those that are known here.
    """
    bits = config.get("bits", config.get("w_bit", 4))
    usual = FORMATS[method][0]
    form = str(config.get("checkpoint_format") or config.get("format") or config.get("version") or usual).lower()
    for name, value, known in (("bits", bits, BITS[method]), ("format", form, FORMATS[method])):
        if value not in known:
            one_of = ", ".join(map(str, known))
            raise WeightsError(
                f"{where}: quantization_config: {method} with {name} {value} is not read here, only {one_of}; use the "
                "vLLM runtime, or the model's 16-bit weights with --quantization nf4 or int8"
            )
    group = config.get("group_size", config.get("q_group_size", 128))
    return Layout(method, bits, group, offset=1 if form == "gptq" else 0)


@register_quantizer(NAME)
class Unpacker(HfQuantizer):
    """Tells transformers to collect the packed tensors of each weight, and how to make the weight of them."""

    requires_calibration = False
    serialized_names: ClassVar[dict[str, list[str]]] = {"weight": list(PACKED)}

    def get_load_operations(self) -> dict[str, Any]:
        """As the base class asks for it."""
        return {"dequantize": Unpack}

    def is_serializable(self) -> bool:
        """Plain weights are."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Plain weights are."""
        return True


class Unpack(ConversionOps):
    """Packed tensors to weights: one linear layer, or all experts of a layer before they are merged."""

    def __init__(self, hf_quantizer: Unpacker) -> None:
        self.hf_quantizer = hf_quantizer

    @torch.no_grad()
    def convert(
        self, input_dict: dict[str, Any], full_layer_name: str | None = None, model: Any = None, **_: Any
    ) -> dict[str, Any]:
        """`input_dict` has a list of tensors for each name, or a pattern that ends in one, as merging experts asks for:
        then weights go on under the first one's."""
        stems = [key[: -len(PACKED[0])] for key in input_dict if key.endswith(PACKED[0])]
        found = {key: value for key, value in input_dict.items() if not key.endswith(PACKED)}
        dtype = _dtype(model, full_layer_name)
        for stem in stems:
            weights, zeros, scales, groups = (input_dict.get(stem + name) or [] for name in PACKED)
            layers = zip(weights, zeros, scales, groups or [None] * len(weights), strict=True)
            key = f"{stem}{PACKED[0]}" if stem else full_layer_name or "weight"
            how = self.hf_quantizer.quantization_config
            found[key] = [unpacked(*layer, how=how, dtype=dtype) for layer in layers]
        return found


def _dtype(model: Any, name: str | None) -> torch.dtype | None:
    """Of the parameter that is loaded, where it is known."""
    if model is None or name is None:
        return None
    module, own = get_module_from_name(model, name)
    found = getattr(getattr(module, own, None), "dtype", None)
    return found if isinstance(found, torch.dtype) else None


def unpacked(
    qweight: torch.Tensor,
    qzeros: torch.Tensor,
    scales: torch.Tensor,
    g_idx: torch.Tensor | None,
    *,
    how: Layout,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """The weight, (out, in): (number - zero point of its group and column) x their scale. `g_idx` names the groups."""
    zeros = _columns(qzeros, how) + how.offset
    numbers = _columns(qweight, how) if how.method == "awq" else _rows(qweight, how)
    if g_idx is None:
        size = how.group_size if how.group_size > 0 else len(numbers)
        g_idx = torch.arange(len(numbers), device=numbers.device) // size
    groups = g_idx.long()
    weight = (numbers - zeros[groups]).float() * scales.float()[groups]
    return weight.t().to(dtype or scales.dtype).contiguous()


def _columns(packed: torch.Tensor, how: Layout) -> torch.Tensor:
    """(rows, columns / pieces) words -> (rows, columns) numbers."""
    order = AWQ_ORDER if how.method == "awq" else range(WORD // how.bits)
    return torch.stack([_piece(packed, place, how.bits) for place in order], dim=-1).flatten(-2)


def _rows(packed: torch.Tensor, how: Layout) -> torch.Tensor:
    """(rows / pieces, columns) words -> (rows, columns) numbers."""
    return torch.stack([_piece(packed, place, how.bits) for place in range(WORD // how.bits)], dim=1).flatten(0, 1)


def _piece(packed: torch.Tensor, place: int, bits: int) -> torch.Tensor:
    """A number of so many bits of each word; the sign of the word comes in from the left and is cut off again."""
    return torch.bitwise_and(torch.bitwise_right_shift(packed, place * bits), 2**bits - 1)
