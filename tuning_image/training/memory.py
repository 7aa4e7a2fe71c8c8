"""What to do when memory runs out: fewer rows at a time, as many a step, from the last checkpoint. Called by train."""

import gc
from typing import Any

import torch

SAYINGS = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")  # PyTorch's on CPUs, CUDA, cuBLAS
Weights = dict[str, torch.Tensor]


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
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
