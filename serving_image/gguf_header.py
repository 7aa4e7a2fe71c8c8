"""What stands at the beginning of a .gguf file: its tensors, and how long it must be. For source.py and the engine.

gguf's own reader takes seconds, as it makes an object of every word of the vocabulary, which is passed over here.
Source of the format: github.com/ggml-org/ggml, docs/gguf.md.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from serving_image.errors import WeightsError

MAGIC, VERSIONS = b"GGUF", (2, 3)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of values, by the number of their type
WORD, TEXT, LIST = 4, 8, 9  # such numbers
ALIGNMENT = b"general.alignment"


@dataclass(frozen=True)
class Tensor:
    """Where one lies behind the header, and how many numbers it has."""

    count: int
    kind: int  # of ggml's quantizations
    offset: int


@dataclass(frozen=True)
class Header:
    """All tensors, and where their bytes begin."""

    tensors: tuple[Tensor, ...]
    begin: int


def check(path: Path) -> None:
    """The file is whole.

    Raises:
        WeightsError: With its length and the one that it should have.
    """
    from gguf.constants import GGML_QUANT_SIZES  # the vocabulary of its types; a quarter of a second, for .gguf alone

    sizes: Mapping[int, tuple[int, int]] = GGML_QUANT_SIZES
    header, size = read(path), path.stat().st_size
    wanted = header.begin
    for tensor in header.tensors:
        block, block_bytes = sizes.get(tensor.kind, (1, 0))
        wanted = max(wanted, header.begin + tensor.offset + tensor.count // block * block_bytes)
    if size < wanted:
        raise WeightsError(f"{path}: has {size} bytes instead of {wanted}: it is cut; download it again")


def read(path: Path) -> Header:
    """The header.

    Raises:
        WeightsError: It is not one, or cut.
    """
    with path.open("rb") as file:
        try:
            return _header(file)
        except (struct.error, ValueError, KeyError) as error:
            raise WeightsError(
                f"{path}: is no .gguf file, or its beginning is damaged: {error}; get it again"
            ) from None


def _header(file: BinaryIO) -> Header:
    if file.read(4) != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version, tensors, values = _unpack(file, "IQQ")
    if version not in VERSIONS:
        raise ValueError(f"version {version} is none of {', '.join(map(str, VERSIONS))}")
    alignment = 32
    for _ in range(values):
        name, kind = _text(file), _unpack(file, "I")[0]
        if name == ALIGNMENT and kind == WORD:
            [alignment] = _unpack(file, "I")
        else:
            _pass_over(file, kind)
    found = tuple(_tensors(file, tensors))
    return Header(found, -(-file.tell() // alignment) * alignment)


def _tensors(file: BinaryIO, count: int) -> Iterator[Tensor]:
    for _ in range(count):
        _text(file)
        shape = _unpack(file, f"{_unpack(file, 'I')[0]}Q")
        yield Tensor(prod(shape), *_unpack(file, "IQ"))


def _pass_over(file: BinaryIO, kind: int) -> None:
    if kind == TEXT:
        _text(file)
    elif kind == LIST:
        inner, count = _unpack(file, "IQ")
        if inner in SIZES:
            file.seek(count * SIZES[inner], 1)
        else:
            for _ in range(count):
                _pass_over(file, inner)
    else:
        file.seek(SIZES[kind], 1)


def _text(file: BinaryIO) -> bytes:
    return file.read(_unpack(file, "Q")[0])


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    """Numbers, smallest byte first and without gaps."""
    form = f"<{form}"
    return struct.unpack(form, file.read(struct.calcsize(form)))
