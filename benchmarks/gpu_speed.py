"""How fast both images are on a GPU and how much of its memory they take. Called by gpu_run, one process at a time."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any

from benchmarks import gpu_server, gpu_serving
from benchmarks.gpu_models import Place
from serving_image.bench.figures import figures
from serving_image.bench.load import Ask, chat, send, story

ANSWER_TOKENS = 128
CONCURRENCY = (1, 16, 64, 256)
RUNS = 2


def throughput(place: Place) -> dict[str, Any]:
    """Tokens per second over HTTP, all streaming, beside `transformers serve --continuous-batching`."""
    found: dict[str, Any] = {}
    counts = CONCURRENCY if place.device == "cuda" else (1, 4)
    for model in dict.fromkeys((place.small, place.large)):
        flags = ("--device", place.device, "--dtype", place.dtype, "--max-running", "256")
        with gpu_server.ours(model, place.output / "ours.log", *flags) as running:
            ours = [_speed(running.url, count, None) for count in counts]
        found[f"{model.name} serving_image"] = ours
        try:
            with gpu_server.transformers(model, place.output / "theirs.log", place.dtype) as running:
                theirs = [_speed(running.url, count, str(model)) for count in counts]
            found[f"{model.name} transformers serve"] = theirs
        except (AssertionError, OSError) as error:
            found[f"{model.name} transformers serve"] = f"does not run: {str(error)[-300:]}"
    return found


def _speed(url: str, count: int, model: str | None) -> str:
    """The best of a few runs: the first also makes ready what later ones use."""
    extra = {} if model else {"stream_options": {"include_usage": True}}
    loads = []
    for turn in range(RUNS):
        texts = [story(1000 * turn + index, 29) for index in range(count)]
        asks = [Ask(0, chat(text, ANSWER_TOKENS, model, **extra)) for text in texts]
        loads.append(figures(asyncio.run(send(url, asks)), count))
        print(url, loads[-1], file=sys.stderr, flush=True)
    assert not any(load.lost or load.refused for load in loads), loads
    best = max(loads, key=lambda load: load.tokens_per_second)
    return f"{count}: {best.tokens_per_second:.0f} tokens/s, first {best.first_token_p50:.3f} s"


def steps(place: Place) -> dict[str, Any]:
    """Milliseconds of a decoding step in the engine, and of them on the GPU; with recorded steps and without."""
    found: dict[str, Any] = {}
    for model in dict.fromkeys((place.small, place.large)):
        for switch in ("on", "off"):
            flags = ("--dtype", place.dtype, "--cuda-graphs", switch, "--max-running", "256")
            stepper, _ = gpu_serving.engine(model, place, *flags)
            for count in (1, 64, 256) if place.device == "cuda" else (1, 4):
                for temperature in (0.0, 1.0) if count == 64 else (0.0,):
                    kind = "" if not temperature else ", drawn"
                    name = f"{model.name} {count}{kind}, graphs {switch}"
                    found[name] = _milliseconds(stepper, count, temperature, place)
                    print(name, found[name], file=sys.stderr, flush=True)
            del stepper
    return found


def _milliseconds(stepper: Any, count: int, temperature: float, place: Place) -> str:
    import torch

    def decode(steps: int) -> list[float]:
        taken = []
        for _ in range(steps):
            began = time.perf_counter()
            list(stepper.step())
            taken.append(1000 * (time.perf_counter() - began))
        return taken

    from serving_image.requests import Request, Sampling

    for index in range(count):
        prompt = tuple(range(10 + index, 70 + index))
        sampling = Sampling(temperature=temperature, seed=index, top_p=0.95 if temperature else 1.0)
        stepper.add(Request(f"{index}", prompt, 400, sampling))
    began = time.perf_counter()
    while stepper.batch.waiting or any(sequence.missing > 1 for sequence in stepper.batch.running):
        decode(1)
    prompts = 1000 * (time.perf_counter() - began)
    decode(20)
    whole = statistics.median(decode(30))
    gpu = ""
    if place.device == "cuda":
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            decode(5)
        events = profile.key_averages()
        gpu = f", {sum(event.self_device_time_total for event in events) / 5000:.2f} on the GPU"
        gpu += f" in {sum(event.count for event in events if event.self_device_time_total) / 5:.0f} kernels"
        largest = sorted(events, key=lambda event: -event.self_device_time_total)[:6]
        for event in largest:
            print(
                f"{event.self_device_time_total / 5000:8.3f} ms {event.count / 5:6.0f} x {event.key[:100]}",
                file=sys.stderr,
            )
    for index in range(count):
        stepper.cancel(f"{index}")
    return f"{whole:.2f} ms{gpu}; {count} prompts {prompts:.0f} ms"


def serving_memory(place: Place) -> dict[str, Any]:
    """What the engine takes of the GPU beside weights and cache, at 256 requests: the plan counts 2.3 GiB for it."""
    if place.device != "cuda":
        return {"not there": "without a GPU"}
    import torch

    before, _ = torch.cuda.mem_get_info()
    stepper, _ = gpu_serving.engine(place.large, place, "--dtype", place.dtype, "--max-running", "256")
    weights = torch.cuda.memory_allocated()
    gpu_serving.ask(stepper, gpu_serving.prompts(256), 200)
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    torch.cuda.empty_cache()  # what PyTorch itself does before memory runs out
    needed, _ = torch.cuda.mem_get_info()
    store = stepper.batch.store
    cache = sum(pool.tokens for pool in store.pools) * store.shape.token_bytes
    rest = total - needed - cache - weights
    found = {
        "free before": before, "cache budget": store.budget_tokens * store.shape.token_bytes, "weights": weights,
        "cache in use": cache, "rest": rest, "of it CUDA": total - needed - torch.cuda.memory_reserved(),
        "reserved by PyTorch and unused": unused, "of it given back": needed - free,
    }  # fmt: skip
    assert rest < 2.3 * 2**30, {name: f"{size / 2**30:.2f} GiB" for name, size in found.items()}
    return {f"{name} GiB": round(size / 2**30, 2) for name, size in found.items()}


def tuning_speed(place: Place) -> dict[str, Any]:
    """Real tokens per second and peak memory of LoRA and QLoRA, beside TRL as a user would run it."""
    found: dict[str, Any] = {}
    models = [str(model) for model in dict.fromkeys((place.large, place.small))]
    everybody = ("ours", "trl", "trl-without-cudnn") if place.device == "cuda" else ("ours", "trl")
    for who, method in product(everybody, ("lora", "qlora")):
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu_tuning_run", who, method, place.device]
        done = subprocess.run(
            [*command, str(place.output / f"{who}-{method}"), *models], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip
        print(done.stdout, file=sys.stderr, flush=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
        found |= {line.pop("name"): line for line in lines}
    failed = [name for name, figure in found.items() if "failed" in figure and name.endswith("ours")]
    assert sum(name.endswith("ours") for name in found) == 2 * len(models) and not failed, found
    return found


CHECKS: dict[str, Callable[[Place], dict[str, Any]]] = {
    "steps": steps, "serving-memory": serving_memory, "tuning-speed": tuning_speed, "throughput": throughput,
}  # fmt: skip
