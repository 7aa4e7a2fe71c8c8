"""Memory under a load far above the budget: requests wait or give way, and the engine stays within what was stated."""

import asyncio
import re
from pathlib import Path

import httpx

from tests.serving import tiny
from tests.serving.servers import Running, running

MIB = 2**20
BUDGET = 64 * MIB
TOKEN_BYTES = 2 * 2 * 32 * 64 * 4  # layers x (keys, values) x heads x head_dim x float32
HEAP = 256 * MIB  # that glibc is told to keep, heap.KEPT_BYTES
STEP = 128 * MIB  # activations and logits of 64 sequences, and what threads of PyTorch keep


def peak_bytes(server: Running) -> int:
    """Most resident memory that the engine's process ever had."""
    status = Path(f"/proc/{server.engine_pid()}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


async def ask(url: str, requests: int, prompt: list[int], answer: int) -> list[int]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=500) as http:
        body = {"prompt": prompt, "max_tokens": answer, "ignore_eos": True}
        bodies = [{**body, "prompt": [5 + index, *prompt[1:]]} for index in range(requests)]
        return [
            each.status_code for each in await asyncio.gather(*[http.post("/v1/completions", json=b) for b in bodies])
        ]


def test_a_load_of_twenty_budgets_is_answered_within_the_stated_memory(tmp_path: Path):
    wide = {"num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 64}
    model = tiny.make(tmp_path / "wide", **wide)
    flags = ("--kv-cache-bytes", "64Mi", "--max-model-len", "512")
    with running(tmp_path, *flags, model=str(model)) as server:
        idle, (prompt, answer, requests) = peak_bytes(server), (list(range(5, 405)), 20, 100)
        assert requests * (len(prompt) + answer) * TOKEN_BYTES > 20 * BUDGET
        assert asyncio.run(ask(server.url, requests, prompt, answer)) == [200] * requests
        allowed = BUDGET + BUDGET // 4 + HEAP + STEP  # a quarter: one layer's keys or values, copied when a pool grows
        assert peak_bytes(server) < idle + allowed
