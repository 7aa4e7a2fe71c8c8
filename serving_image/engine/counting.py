"""How many numbers the weight files hold, by what stands at their beginning. Called by precision.py."""

import json
import struct
from pathlib import Path

from serving_image import gguf_header
from serving_image.source import Source

WORD_BITS = 32  # of the integers into which AWQ and GPTQ pack weights
FP4_PER_BYTE = 2  # in MXFP4's blocks


def numbers(source: Source, packed_bits: int = 4) -> int:
    """Numbers in all files; packed ones, which have so many bits, count as what they stand for."""
    if source.gguf:
        return sum(tensor.count for path in source.weight_paths for tensor in gguf_header.read(path).tensors)
    entries = (entry for path in source.weight_paths for entry in _header(path).items())
    return sum(_count(name, entry, packed_bits) for name, entry in entries)


def _header(path: Path) -> dict[str, dict[str, list[int]]]:
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _count(name: str, entry: dict[str, list[int]], packed_bits: int) -> int:
    count = 1
    for size in entry["shape"]:
        count *= size
    if name.endswith(".qweight"):
        return count * WORD_BITS // packed_bits
    return count * FP4_PER_BYTE if name.endswith("_blocks") else count
