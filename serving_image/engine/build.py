"""Puts the engine together: threads, weights, cache, batch. Called by the engine's process at start."""

import ctypes
import os
import sys

import psutil
import torch

from serving_image.engine import adapter_files, weights
from serving_image.engine.batch import Batch, Limits
from serving_image.engine.grammar import Grammars
from serving_image.engine.kv import Shape, Store
from serving_image.engine.lora import Adapters
from serving_image.engine.protocol import Info
from serving_image.engine.stepper import Stepper
from serving_image.errors import WeightsError
from serving_image.settings import Settings
from serving_image.source import Source

MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
KEPT_HEAP_BYTES = 2**28
LARGEST_HEAP_BLOCK_BYTES = 2**25
FREE_SHARE = 0.5  # of the memory that the weights leave; the rest is for activations and other programs


def build(settings: Settings, source: Source) -> tuple[Stepper, Grammars, Info]:
    """The engine, ready for requests."""
    torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
    _keep_freed_memory()
    loaded = weights.load(source, settings)
    context, budget = _cache_tokens(settings, loaded.shape, loaded.context_tokens)
    limits = Limits(settings.max_running, settings.prefill_tokens, 2 * settings.prefill_tokens)
    adapters = Adapters(loaded.model)
    for spec in settings.adapter:
        adapters.add(adapter_files.read(spec, loaded.model))
    stepper = Stepper(loaded.model, Batch(Store(loaded.shape, budget, context), limits), adapters)
    description = (
        f"{type(loaded.model).__name__} in {loaded.shape.dtype} on {loaded.shape.device}, context {context} tokens, "
        f"cache {budget} tokens ({budget * loaded.shape.token_bytes / 2**20:.0f} MiB)"
    )
    vocabulary = loaded.model.config.get_text_config().vocab_size
    return stepper, Grammars(source, vocabulary), Info(context, vocabulary, description, loaded.losses)


def _keep_freed_memory() -> None:
    """Reuse the memory of activations: given back after each layer, it comes again as page faults in every prefill."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(MALLOC_TRIM_THRESHOLD, KEPT_HEAP_BYTES)
        libc.mallopt(MALLOC_MMAP_THRESHOLD, LARGEST_HEAP_BLOCK_BYTES)


def _cache_tokens(settings: Settings, shape: Shape, context: int) -> tuple[int, int]:
    """(context, budget): one whole context always fits, so that every accepted request can be answered."""
    free = _free_bytes(shape.device)
    room = settings.kv_cache_bytes or int(free * FREE_SHARE)
    budget = min(room // shape.token_bytes, settings.max_running * context)
    if budget >= context:
        return context, budget
    if settings.max_model_len:
        raise WeightsError(
            f"--max-model-len {context} needs {context * shape.token_bytes / 2**20:.0f} MiB of cache and "
            f"{room / 2**20:.0f} MiB are free for it; {budget} tokens fit"
        )
    return budget, budget


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
