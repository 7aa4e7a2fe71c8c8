"""Recorded steps: what a replay computes is what the step itself would. Recording is CUDA's, the rest runs anywhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from serving_image.engine.forward import Forward
from serving_image.engine.stepper import Stepper
from serving_image.requests import Request, Sampling
from tests.serving.test_stepper import engine, folder, generated, greedy, model, prompt, run

__all__ = ["folder", "model"]
Compute = Callable[[], torch.Tensor]


def recording(folder: Path, *flags: str) -> tuple[Stepper, list[int]]:
    """An engine whose recorder computes at each replay what it was given, and the count of replays."""
    stepper, replays = engine(folder, *flags), [0]

    def record(compute: Compute) -> Compute:
        def replay() -> torch.Tensor:
            replays[0] += 1
            return compute()

        return replay

    stepper.forward = Forward(stepper.model, record)
    return stepper, replays


def test_replayed_steps_give_the_tokens_of_generate(folder: Path, model: torch.nn.Module) -> None:
    stepper, replays = recording(folder, "--prefill-tokens", "32")
    asked = {f"r{seed}": prompt(seed, 5 + 25 * seed) for seed in range(7)}  # over rows of two lengths
    for name, tokens in asked.items():
        stepper.add(greedy(name, tokens, 60))
    assert run(stepper) == {name: generated(model, tokens, 60) for name, tokens in asked.items()}
    assert replays[0] > 30


def test_answers_that_end_early_leave_gaps_which_replays_pass_over(folder: Path, model: torch.nn.Module) -> None:
    stepper, replays = recording(folder)
    lengths = {f"r{seed}": 8 + 9 * seed for seed in range(6)}
    for seed, (name, count) in enumerate(lengths.items()):
        stepper.add(greedy(name, prompt(seed, 20), count))
    found = run(stepper)
    for seed, (name, count) in enumerate(lengths.items()):
        assert found[name] == generated(model, prompt(seed, 20), count)
    assert replays[0] > 30


def test_a_pool_that_grows_is_recorded_anew(folder: Path, model: torch.nn.Module) -> None:
    stepper, _ = recording(folder)
    answers: dict[str, list[int]] = {}
    for seed in range(5):
        stepper.add(greedy(f"r{seed}", prompt(seed, 20), 40))
        for name, tokens in run(stepper, steps=6).items():
            answers.setdefault(name, []).extend(tokens)
    for name, tokens in run(stepper).items():
        answers.setdefault(name, []).extend(tokens)
    assert answers == {f"r{seed}": generated(model, prompt(seed, 20), 40) for seed in range(5)}


def test_a_recording_with_room_stands_in_for_smaller_steps(folder: Path, model: torch.nn.Module) -> None:
    stepper, made = engine(folder), []

    def record(compute: Compute) -> Compute:
        made.append(compute)
        return compute

    stepper.forward = Forward(stepper.model, record)
    lengths = {"a": 20, "b": 20, "c": 40, "d": 40}
    for seed, (name, count) in enumerate(lengths.items()):
        stepper.add(greedy(name, prompt(seed, 20), count))
    assert run(stepper) == {name: generated(model, prompt(s, 20), n) for s, (name, n) in enumerate(lengths.items())}
    assert len(made) == 1


def test_where_recording_fails_steps_are_computed_as_they_are(
    folder: Path, model: torch.nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(compute: Compute) -> Compute:
        raise RuntimeError("no such stream")

    stepper = engine(folder)
    stepper.forward = Forward(stepper.model, refuse)
    stepper.add(greedy("one", prompt(1, 20)))
    assert run(stepper)["one"] == generated(model, prompt(1, 20), 20)
    assert "no such stream" in caplog.text


def test_attention_that_prepares_for_each_shape_is_off(folder: Path) -> None:
    engine(folder)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
def test_a_pool_that_grows_is_recorded_anew_by_cuda(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    stepper = engine(folder, "--device", "cuda")
    for seed in range(20):
        stepper.add(greedy(f"r{seed}", prompt(seed, 20), 60))
        run(stepper, steps=8)
    run(stepper)
    assert "not recorded" not in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
def test_cuda_graphs_draw_the_tokens_that_single_kernels_do(folder: Path) -> None:
    found = []
    for switch in ("on", "off"):
        stepper = engine(folder, "--device", "cuda", "--cuda-graphs", switch)
        for seed in range(12):
            sampling = Sampling(temperature=0.8 * (seed % 2), top_p=0.9, seed=seed)
            stepper.add(Request(f"r{seed}", prompt(seed, 5 + 15 * seed), 60, sampling))
        found.append(run(stepper))
    assert found[0] == found[1]
