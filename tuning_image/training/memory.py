"""What to do when memory runs out: fewer rows at a time, as many a step, from the last checkpoint. Called by train and
trainer.
"""

import ctypes
import gc
import sys
from typing import Any

import torch

SAYINGS = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")  # PyTorch's on CPUs, CUDA, cuBLAS
MMAP_THRESHOLD = -3  # of glibc's mallopt
LARGEST_HEAP_BLOCK_BYTES = 1 << 20
Weights = dict[str, torch.Tensor]


def give_back_freed() -> None:
    """From now on what is freed is given back, at some cost in time: for gradient checkpointing on a CPU.

    Where layers are computed twice, freed blocks stay in the heap of glibc 2.36 and are hardly used again: 4.2 of its
    5.1 GB were free when it was largest (SmolLM2, float32, four rows of 967 tokens). Larger blocks lie outside of it.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(MMAP_THRESHOLD, LARGEST_HEAP_BLOCK_BYTES)


def ran_out(error: BaseException) -> bool:
    """Whether this is the lack of memory: on CPUs PyTorch raises a plain RuntimeError."""
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(saying in str(error) for saying in SAYINGS)


def halved(micro: int, accumulation: int) -> tuple[int, int]:
    """The next smaller divisor, at the same rows per step."""
    smaller = next(n for n in range(micro // 2, 0, -1) if micro * accumulation % n == 0)
    return smaller, micro * accumulation // smaller


def goes_on(micro: int, accumulation: int) -> str:
    """What the log says after halving."""
    return f"out of memory: on with {micro} rows at a time, {accumulation} times a step"


def evaluates(rows: int) -> str:
    """What the log says when an evaluation begins anew."""
    return f"out of memory: evaluates {rows} rows at a time"


def too_little(model: str) -> str:
    """What remains when one row at a time is too much."""
    return (
        f"--model {model}: out of memory with one row at a time; set TrainingArguments.gradient_checkpointing: true, "
        "lower max_length, use --method qlora or a larger instanceType"
    )


def trained_weights(model: Any) -> Weights:
    """The numbers that training changes, as they are now."""
    return {name: value.detach().cpu().clone() for name, value in model.named_parameters() if value.requires_grad}


def start_again(model: Any, untrained: Weights) -> None:
    """Puts the untrained adapter back (a checkpoint is loaded over it) and frees what the failed step held."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name in untrained:
                value.copy_(untrained[name])
                value.grad = None
    free()


def free() -> None:
    """Gives back what nothing holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
