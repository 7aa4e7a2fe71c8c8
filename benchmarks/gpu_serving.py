"""Does the serving image do on a GPU what it does on a CPU. Called by gpu_run, each check in a process."""

import asyncio
import re
import signal
import time
from pathlib import Path
from typing import Any

from benchmarks import gpu_models, gpu_server
from benchmarks.gpu_models import Place
from serving_image.bench.figures import figures
from serving_image.bench.load import Ask, chat, send, story

ANSWER_TOKENS = 48


def engine(model: Path, place: Place, *flags: str) -> Any:
    """The engine itself, in this process."""
    from serving_image import settings
    from serving_image.engine.build import build
    from serving_image.source import Source

    chosen = settings.read(["--model", str(model), "--device", place.device, *flags], {})
    stepper, _, info = build(chosen, Source(model))
    return stepper, info


def ask(stepper: Any, prompts: list[tuple[int, ...]], tokens: int = ANSWER_TOKENS, **sampling: Any) -> list[list[int]]:
    """The engine's answers to prompts that come all at once."""
    from serving_image.requests import Request, Sampling

    answers: dict[str, list[int]] = {str(index): [] for index in range(len(prompts))}
    for index, prompt in enumerate(prompts):
        chosen = Sampling(seed=index, **{"temperature": 0.0, **sampling})
        stepper.add(Request(str(index), prompt, tokens, chosen))
    while stepper.has_work:
        for progress in (one for batch in stepper.step() for one in batch):
            assert progress.finish != "error", progress.message
            if progress.request in answers:
                answers[progress.request] += [token.id for token in progress.tokens]
    return list(answers.values())


def prompts(count: int) -> list[tuple[int, ...]]:
    """Random tokens, 10 to 310 of them."""
    import torch

    generator = torch.Generator().manual_seed(1)
    return [
        tuple(torch.randint(10, 40000, (10 + 37 * index % 300,), generator=generator).tolist())
        for index in range(count)
    ]


def greedy(place: Place) -> dict[str, Any]:
    """In float32 requests together get the tokens that `generate` gives each alone, with recorded steps and without."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(place.small, dtype=torch.float32).to(place.device).eval()
    asked, wanted = prompts(24), []
    limits = {"max_new_tokens": ANSWER_TOKENS, "min_new_tokens": ANSWER_TOKENS, "do_sample": False, "pad_token_id": 2}
    for prompt in asked:
        ids = torch.tensor([prompt], device=place.device)
        made = model.generate(ids, attention_mask=torch.ones_like(ids), eos_token_id=None, **limits)
        wanted.append(made[0, len(prompt) :].tolist())
    for switch in ("on", "off"):
        stepper, _ = engine(place.small, place, "--dtype", "float32", "--cuda-graphs", switch)
        found = ask(stepper, asked)
        same = sum(one == other for one, other in zip(found, wanted, strict=True))
        assert same == len(asked), f"{same} of {len(asked)} answers are the same with --cuda-graphs {switch}"
        del stepper
    return {"answers equal to generate": same, "tokens": same * ANSWER_TOKENS}


def sampled(place: Place) -> dict[str, Any]:
    """A seed gives the same tokens alone and among others, in float32."""
    stepper, _ = engine(place.small, place, "--dtype", "float32")
    options = {"temperature": 0.9, "top_p": 0.95, "top_k": 50, "repetition_penalty": 1.1}
    together = ask(stepper, prompts(16), **options)
    alone = ask(stepper, prompts(1), **options)
    assert alone[0] == together[0]
    free = ask(stepper, prompts(16), temperature=1.0)
    assert len({tuple(answer) for answer in free}) == 16
    return {"seeded answers": 17}


def quantized(place: Place) -> dict[str, Any]:
    """nf4 and int8 by bitsandbytes: answers, in less memory than 16 bits."""
    import torch

    found: dict[str, Any] = {}
    sizes = {}
    for kind in ("none", "nf4", "int8"):
        before = torch.cuda.memory_allocated() if place.device == "cuda" else 0
        stepper, _ = engine(place.large, place, "--dtype", place.dtype, "--quantization", kind)
        sizes[kind] = (torch.cuda.memory_allocated() if place.device == "cuda" else 0) - before
        began = time.monotonic()
        answers = ask(stepper, prompts(8), 16)
        found[kind] = f"{sizes[kind] / 1e9:.2f} GB, {sum(map(len, answers)) / (time.monotonic() - began):.0f} tokens/s"
        assert all(len(answer) == 16 for answer in answers) and len({tuple(answer) for answer in answers}) > 1
        del stepper
    assert place.device == "cpu" or sizes["nf4"] < sizes["int8"] < sizes["none"], sizes
    return found


def server(place: Place) -> dict[str, Any]:
    """The real process: adapters in one batch, structured output, a client that leaves, overload, SIGTERM."""
    flags = ["--device", place.device, "--dtype", place.dtype]
    for seed in (1, 2, 3):
        folder = gpu_models.adapter(place.small, place.output / f"adapter{seed}", seed)
        flags += ["--adapter", f"tuned{seed}={folder}"]
    found: dict[str, Any] = {}
    with gpu_server.ours(place.small, place.output / "server.log", *flags, "--drain-timeout", "60") as running:
        ready = re.search(r'ready: ([^"]*)', running.log())
        found["ready"] = ready[1] if ready else ""
        assert place.device in found["ready"]
        found |= _adapters(running) | _structured(running) | _leaving(running) | _overload(running)
        found |= _draining(running)
        assert "OutOfMemory" not in running.log() and "Traceback" not in running.log(), running.log()[-3000:]
    return found


def _adapters(running: gpu_server.Running) -> dict[str, Any]:
    """Each model's answers are all alike and unlike the others'. bfloat16 differs with the batch, so 4 tokens alone."""
    names = [None, "tuned1", "tuned2", "tuned3"] * 4

    async def all_at_once() -> list[str]:
        import httpx

        async with httpx.AsyncClient(base_url=running.url, timeout=120, trust_env=False) as http:
            bodies = [{**chat("tell me", 4, name), "stream": False, "ignore_eos": True} for name in names]
            answers = await asyncio.gather(*(http.post("/v1/chat/completions", json=body) for body in bodies))
        return [answer.json()["choices"][0]["message"]["content"] for answer in answers]

    texts = asyncio.run(all_at_once())
    firsts = {name: {text for text, one in zip(texts, names, strict=True) if one == name} for name in names}
    distinct = len(set().union(*firsts.values()))
    assert distinct >= 4, firsts
    return {"adapters in one batch": len(firsts) - 1}


def _structured(running: gpu_server.Running) -> dict[str, Any]:
    message = {"messages": [{"role": "user", "content": "go"}], "max_tokens": 40}
    for options, pattern in (
        ({"guided_regex": r"[A-Z]{3}-\d{4}"}, r"[A-Z]{3}-\d{4}"),
        ({"guided_choice": ["red", "green"]}, "red|green"),
    ):
        answer = running.http.post("/v1/chat/completions", json={**message, **options}).json()
        text = answer["choices"][0]["message"]["content"]
        assert re.fullmatch(pattern, text), text
    return {"structured answers": 2}


def _leaving(running: gpu_server.Running) -> dict[str, Any]:
    body = {**chat("a long story", 4000), "ignore_eos": True}
    with running.http.stream("POST", "/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    began = time.monotonic()
    while running.gauge("num_requests_running"):
        assert time.monotonic() - began < 10, "still running"
        time.sleep(0.01)
    return {"place free after": f"{time.monotonic() - began:.2f} s"}


def _overload(running: gpu_server.Running) -> dict[str, Any]:
    asks = [Ask(0, chat(story(index, 29), 64, stream_options={"include_usage": True})) for index in range(1000)]
    load = figures(asyncio.run(send(running.url, asks)), len(asks))
    assert load.lost == 0 and load.whole + load.refused == len(asks) and load.whole >= 64, load
    assert running.http.get("/health").status_code == 200
    return {"1000 at once": f"{load.whole} whole, {load.refused} refused in {load.refusal_p50:.2f} s, none lost"}


def _draining(running: gpu_server.Running) -> dict[str, Any]:
    async def drain() -> list[bool]:
        bodies = [{**chat(story(index, 9), 300), "ignore_eos": True} for index in range(8)]
        streams = asyncio.create_task(send(running.url, [Ask(0, body) for body in bodies]))
        await asyncio.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)
        return [answer.whole for answer in await streams]

    assert all(asyncio.run(drain()))
    assert running.process.wait(60) == 0
    return {"streams whole after SIGTERM": 8}


CHECKS = {"greedy": greedy, "sampled": sampled, "quantized": quantized, "server": server}
