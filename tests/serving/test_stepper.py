"""The engine's steps by themselves, on a small model of random weights: whatever the batch does, the tokens stay."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from serving_image import settings
from serving_image.engine import kv, kv_memory
from serving_image.engine.build import build
from serving_image.engine.stepper import Stepper
from serving_image.requests import Request, Sampling
from serving_image.source import Source
from tests.serving.kinds import VOCABULARY, generated, prompt, run

CONTEXT = 256
TOKEN_BYTES = 2 * 2 * 2 * 16 * 4  # keys and values, layers, heads, their size, float32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers."""
    torch.manual_seed(7)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=VOCABULARY, num_key_value_heads=2, head_dim=16, max_position_embeddings=CONTEXT,
        initializer_range=0.3, **sizes,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> PreTrainedModel:
    """The same, by transformers alone."""
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)


def engine(folder: Path, *flags: str) -> Stepper:
    """The engine with these settings."""
    chosen = settings.read(["--model", str(folder), "--dtype", "float32", *flags], {})
    return build(chosen, Source(folder))[0]


def greedy(name: str, tokens: tuple[int, ...], count: int = 20) -> Request:
    return Request(name, tokens, count, Sampling(temperature=0))


def test_a_prompt_that_is_read_in_pieces_gives_the_tokens_of_generate(folder: Path, model: PreTrainedModel) -> None:
    stepper = engine(folder, "--prefill-tokens", "16")
    stepper.add(greedy("long", prompt(1, 150)))
    assert run(stepper)["long"] == generated(model, prompt(1, 150), 20)


def test_requests_that_join_at_every_step_do_not_change_each_other(folder: Path, model: PreTrainedModel) -> None:
    stepper, answers = engine(folder, "--prefill-tokens", "16"), {}
    asked = {f"r{seed}": prompt(seed, 5 + 9 * seed) for seed in range(12)}
    for name, tokens in asked.items():
        stepper.add(greedy(name, tokens))
        for key, value in run(stepper, steps=2).items():
            answers.setdefault(key, []).extend(value)
    for key, value in run(stepper).items():
        answers.setdefault(key, []).extend(value)
    assert answers == {name: generated(model, tokens, 20) for name, tokens in asked.items()}


def test_a_long_prompt_that_joins_takes_no_token_from_those_who_decode(folder: Path) -> None:
    stepper = engine(folder, "--prefill-tokens", "16")
    stepper.add(greedy("talking", prompt(1, 10), 60))
    run(stepper, steps=3)
    stepper.add(greedy("long", prompt(2, 160)))
    tokens = {name: len(found) for name, found in run(stepper, steps=8).items()}
    assert tokens == {"talking": 8, "long": 0}
    assert len(run(stepper)["long"]) == 20


def test_a_prefix_that_is_reused_gives_the_same_tokens(folder: Path, model: PreTrainedModel) -> None:
    stepper, system = engine(folder), prompt(3, 100)
    stepper.add(greedy("first", system + prompt(4, 10)))
    run(stepper)
    stepper.add(greedy("second", system + prompt(5, 10)))
    assert run(stepper)["second"] == generated(model, system + prompt(5, 10), 20)
    assert stepper.stats().prefix_hits_tokens >= 64


def test_a_cache_for_one_context_answers_many_requests_in_turn(folder: Path, model: PreTrainedModel) -> None:
    stepper = engine(folder, "--kv-cache-bytes", str(CONTEXT * TOKEN_BYTES))
    asked = {f"r{seed}": prompt(seed, 60) for seed in range(8)}
    for name, tokens in asked.items():
        stepper.add(greedy(name, tokens, 60))
    assert stepper.stats().cache_budget_tokens == CONTEXT
    assert run(stepper) == {name: generated(model, tokens, 60) for name, tokens in asked.items()}


def test_a_gpu_that_another_program_fills_serves_with_the_cache_that_it_has(
    folder: Path, model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = [0]

    class Filled(kv_memory.Moved):
        def resize(self, rows: int, held: Sequence[int]) -> None:
            grown[0] += 1
            if grown[0] > 5:  # of the third time the keys are done, and the values fail
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().resize(rows, held)

    monkeypatch.setattr(kv, "memory_of", Filled)
    stepper = engine(folder)
    asked = {f"r{seed}": prompt(seed, 20) for seed in range(6)}
    for name, tokens in asked.items():
        stepper.add(greedy(name, tokens, 40))
    assert run(stepper) == {name: generated(model, tokens, 40) for name, tokens in asked.items()}
    assert stepper.stats().cache_budget_tokens == 2 * kv.SMALLEST_ROW_TOKENS


def test_a_cancelled_request_leaves_before_the_next_step_and_the_others_go_on(
    folder: Path, model: PreTrainedModel
) -> None:
    stepper = engine(folder)
    stepper.add(greedy("stays", prompt(1, 20)))
    stepper.add(greedy("goes", prompt(2, 20)))
    before = run(stepper, steps=5)
    stepper.cancel("goes")
    assert stepper.stats().running == 1
    after = run(stepper)
    assert "goes" not in after
    assert before["stays"] + after["stays"] == generated(model, prompt(1, 20), 20)


def test_a_seed_gives_the_same_tokens_alone_and_in_a_batch(folder: Path) -> None:
    seeded = Request("seeded", prompt(1, 20), 30, Sampling(temperature=1.0, seed=11))
    alone, crowd = engine(folder), engine(folder)
    for number in range(6):
        crowd.add(Request(f"other-{number}", prompt(number + 2, 15), 30, Sampling(temperature=1.0, seed=number)))
    for stepper in (alone, crowd):
        stepper.add(seeded)
    assert run(alone)["seeded"] == run(crowd)["seeded"]


def test_a_step_that_raises_fails_its_request_and_no_other(
    folder: Path, model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stepper, poison = engine(folder), 299
    embed = stepper.model.model.embed_tokens.forward

    def failing(ids: torch.Tensor) -> torch.Tensor:
        if poison in ids:
            raise RuntimeError("bad token")
        return embed(ids)

    monkeypatch.setattr(stepper.model.model.embed_tokens, "forward", failing)
    stepper.add(greedy("good", (5, 6, 7)))
    stepper.add(greedy("bad", (5, 6, poison)))
    finished = {one.request: one for _ in range(3) for batch in stepper.step() for one in batch if one.finish}
    assert finished["bad"].finish == "error" and "bad token" in finished["bad"].message
    assert "good" not in finished and stepper.stats().running == 1
    assert "bad token" in caplog.text
