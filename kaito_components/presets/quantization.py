"""How a model's weights are packed, from its config.json. Pure; called by architecture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BITS = {"fp8": 8, "fbgemm_fp8": 8, "mxfp4": 4, "nvfp4": 4, "modelopt_fp4": 4}


@dataclass(frozen=True)
class Quantization:
    """The method by which weights are packed, and their bits where they all have the same."""

    method: str
    bits: int | None = None


def quantization_of(config: Mapping[str, Any]) -> Quantization | None:
    """None: the weights are numbers of 16 or 32 bits."""
    packed = config.get("quantization_config") or config.get("compression_config")
    if not isinstance(packed, Mapping) or not packed:
        return None
    method = str(packed.get("quant_method") or "unknown").lower()
    if method == "bitsandbytes":
        return Quantization(method, 4 if packed.get("load_in_4bit") or packed.get("_load_in_4bit") else 8)
    if method == "compressed-tensors":
        return Quantization(str(packed.get("format") or method), _group_bits(packed))
    if method == "modelopt":
        algorithm = str(packed.get("quant_algo") or method)
        return Quantization(algorithm, _BITS.get(algorithm.lower()))
    bits = packed.get("bits", packed.get("w_bit"))
    return Quantization(method, bits if isinstance(bits, int) else _BITS.get(method))


def _group_bits(packed: Mapping[str, Any]) -> int | None:
    """The bits of compressed-tensors' groups, if there is one number for all."""
    groups = packed.get("config_groups")
    weights = [_part(_part(groups, name), "weights") for name in _part(packed, "config_groups")]
    bits = {part.get("num_bits") for part in weights}
    (only,) = bits if len(bits) == 1 else (None,)
    return only if isinstance(only, int) else None


def _part(value: object, key: str) -> Mapping[str, Any]:
    """The object below that key; empty where there is none."""
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}
