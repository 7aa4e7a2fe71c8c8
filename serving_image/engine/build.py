"""Puts the engine together: threads, weights, cache, batch. Called by the engine's process at start."""

import os

import torch
from transformers.utils import logging as library_log

from serving_image.engine import adapter_files, heap, memory, probe, stock, weights
from serving_image.engine.batch import Batch, Limits, prefill_tokens
from serving_image.engine.fast_linear import speed_up
from serving_image.engine.grammar import Grammars
from serving_image.engine.graphs import Recorder
from serving_image.engine.kv import Shape, Store
from serving_image.engine.lora import Adapters
from serving_image.engine.protocol import Info
from serving_image.engine.stepper import Stepper
from serving_image.engine.stock import Stock
from serving_image.engine.weights import Loaded
from serving_image.errors import WeightsError
from serving_image.settings import Settings
from serving_image.source import Source

FREE_SHARE = 0.5  # of the memory that the weights leave; the rest is for activations and other programs
# On a GPU, which is the engine's alone, and less what CUDA's libraries and the largest step take. The plan counts on
# less (84 % of the whole GPU, less 2.3 GiB and the weights), so the context that it promises always fits.
FREE_GPU_SHARE, GPU_RESERVE_BYTES = 0.9, 2**30


def build(settings: Settings, source: Source) -> tuple[Stepper | Stock, Grammars, Info]:
    """The engine, ready for requests."""
    torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
    heap.keep_freed()
    _log_with_the_rest()
    loaded = weights.load(source, settings)
    adapters = Adapters(loaded.model)
    try:
        shape = probe.prepare(loaded.model)
    except probe.NotOverRows as reason:
        stepper, info = _one_by_one(settings, loaded, adapters, str(reason))
    else:
        stepper, info = _batching(settings, loaded, adapters, shape)
    for spec in settings.adapter:  # now that the layers they change are what they stay
        adapters.add(adapter_files.read(spec, loaded.model, settings.adapters_base))
    return stepper, Grammars(source, info.vocabulary), info


def _batching(settings: Settings, loaded: Loaded, adapters: Adapters, shape: Shape) -> tuple[Stepper | Stock, Info]:
    speed_up(loaded.model)
    context, budget = _cache_tokens(settings, shape.token_bytes, loaded)
    prefill = prefill_tokens(settings.prefill_tokens, shape.device.type)
    limits = Limits(settings.max_running, prefill, 2 * prefill)
    recorded = settings.cuda_graphs == "on" and settings.quantization != "int8"  # which looks at its input on the CPU
    recorder = Recorder() if recorded and shape.device.type == "cuda" else None
    stepper = Stepper(loaded.model, Batch(Store(shape, budget, context), limits), adapters, recorder)
    size = f"cache {budget} tokens ({budget * shape.token_bytes / 2**20:.0f} MiB)"
    return stepper, _info(loaded, context, size, loaded.losses)


def _one_by_one(settings: Settings, loaded: Loaded, adapters: Adapters, reason: str) -> tuple[Stepper | Stock, Info]:
    cost = stock.weigh(loaded.model)
    room = _room_bytes(settings, loaded.model.device)
    context, _ = _cache_tokens(settings, max(1, cost.token_bytes), loaded, cost.fixed_bytes)
    stepper = Stock(loaded.model, adapters, cost, room, settings.max_running)
    losses = (*loaded.losses, *(f"{loss}, as {reason}" for loss in stock.LOSSES))
    return stepper, _info(loaded, context, f"cache {room / 2**20:.0f} MiB", losses)


def _info(loaded: Loaded, context: int, size: str, losses: tuple[str, ...]) -> Info:
    model = loaded.model
    description = f"{type(model).__name__} in {model.dtype} on {model.device}, context {context} tokens, {size}"
    return Info(context, model.config.get_text_config().vocab_size, description, losses)


def _log_with_the_rest() -> None:
    """What transformers has to say goes into our log, and no bar of its progress beside it."""
    library_log.disable_default_handler()
    library_log.enable_propagation()
    library_log.disable_progress_bar()


def _cache_tokens(settings: Settings, token_bytes: int, loaded: Loaded, fixed_bytes: int = 0) -> tuple[int, int]:
    """(context, budget): one whole context always fits, so that every accepted request can be answered."""
    context = loaded.context_tokens
    room = _room_bytes(settings, loaded.model.device)
    budget = min((room - fixed_bytes) // token_bytes, settings.max_running * context)
    if budget >= context:
        return context, budget
    if settings.max_model_len or budget <= 0:
        raise WeightsError(
            f"--max-model-len {context} needs {(context * token_bytes + fixed_bytes) / 2**20:.0f} MiB of cache and "
            f"{room / 2**20:.0f} MiB are free for it; {max(0, budget)} tokens fit"
        )
    return budget, budget


def _room_bytes(settings: Settings, device: torch.device) -> int:
    """For keys and values, of what the weights have left."""
    if settings.kv_cache_bytes:
        return settings.kv_cache_bytes
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what loading took on the way
        free = memory.free_bytes(device)
        return int(max(FREE_SHARE * free, FREE_GPU_SHARE * free - GPU_RESERVE_BYTES))
    return int(FREE_SHARE * memory.free_bytes(device))
