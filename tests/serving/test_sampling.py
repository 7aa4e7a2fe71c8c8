"""What each sampling field does to the distribution of the next token, against the same in numpy; exact, not by chance.

The engine draws by one number between 0 and 1. Here it is given the numbers of a fine grid, so that the share
of each token is its probability, to the width of the grid.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from serving_image.engine.sampling import choose
from serving_image.engine.sequence import Sequence
from serving_image.requests import Request, Sampling
from tests.serving import kinds

GRID = 400
PROMPT, ANSWER = (7, 8, 9, 9), [11, 12, 12, 12]
ENDS = frozenset({2, 5})


@pytest.fixture(scope="module")
def logits(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    """Of a model, made flat enough that many tokens are likely; those of the prompt and the answer among them."""
    model = kinds.made("llama", tmp_path_factory.mktemp("model"))
    with torch.no_grad():
        values = model(torch.tensor([PROMPT])).logits[0, -1]
    values = values / values.std() * 2
    values[[7, 9, 11, 12]] = values.max() + torch.tensor([-1.0, -0.5, -0.2, 0.1])
    return values


def shares(logits: torch.Tensor, answer: list[int] | None = None, min_tokens: int = 0, **fields: Any) -> np.ndarray:
    """Of each token, by the engine."""
    request = Request("r", PROMPT, 99, Sampling(**fields), stop_tokens=ENDS, min_tokens=min_tokens)
    sequence = Sequence.of(request)
    sequence.tokens += ANSWER if answer is None else answer
    grid: Iterator[float] = iter([(step + 0.5) / GRID for step in range(GRID)])
    sequence.random = SimpleNamespace(random=lambda: next(grid))  # type: ignore[assignment]
    tokens = [choose(logits[None], [sequence])[0].id for _ in range(GRID)]
    return np.bincount(tokens, minlength=len(logits)) / GRID


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def kept(probabilities: np.ndarray, keep: np.ndarray) -> np.ndarray:
    left = np.where(keep, probabilities, 0)
    return left / left.sum()


def assert_equal(found: np.ndarray, wanted: np.ndarray) -> None:
    assert np.abs(found - wanted).max() <= 1.5 / GRID
    assert not found[wanted == 0].any()


def plain(logits: torch.Tensor) -> np.ndarray:
    return logits.double().numpy().copy()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_logits(logits: torch.Tensor, temperature: float) -> None:
    assert_equal(shares(logits, temperature=temperature), softmax(plain(logits) / temperature))


def test_temperature_0_is_the_most_likely_token(logits: torch.Tensor) -> None:
    assert shares(logits, temperature=0)[int(logits.argmax())] == 1


def test_top_k_keeps_the_k_most_likely(logits: torch.Tensor) -> None:
    probabilities = softmax(plain(logits))
    assert_equal(shares(logits, top_k=7), kept(probabilities, probabilities >= np.sort(probabilities)[-7]))


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
def test_top_p_keeps_the_fewest_that_make_p_together(logits: torch.Tensor, top_p: float) -> None:
    probabilities = softmax(plain(logits))
    order = np.argsort(-probabilities)
    count = int(np.searchsorted(probabilities[order].cumsum(), top_p)) + 1
    assert_equal(shares(logits, top_p=top_p), kept(probabilities, np.isin(np.arange(len(order)), order[:count])))


@pytest.mark.parametrize("min_p", [0.02, 0.3])
def test_min_p_keeps_those_of_a_share_of_the_most_likely(logits: torch.Tensor, min_p: float) -> None:
    probabilities = softmax(plain(logits))
    assert_equal(shares(logits, min_p=min_p), kept(probabilities, probabilities >= min_p * probabilities.max()))


def test_top_p_is_of_what_temperature_and_top_k_leave(logits: torch.Tensor) -> None:
    probabilities = softmax(plain(logits) / 1.5)
    ten = kept(probabilities, probabilities >= np.sort(probabilities)[-10])
    order = np.argsort(-ten)
    count = int(np.searchsorted(ten[order].cumsum(), 0.6)) + 1
    wanted = kept(ten, np.isin(np.arange(len(order)), order[:count]))
    assert_equal(shares(logits, temperature=1.5, top_k=10, top_p=0.6), wanted)


@pytest.mark.parametrize("penalty", [0.5, 1.3])
def test_a_repetition_penalty_is_of_prompt_and_answer(logits: torch.Tensor, penalty: float) -> None:
    wanted, seen = plain(logits), sorted({*PROMPT, *ANSWER})
    wanted[seen] = np.where(wanted[seen] < 0, wanted[seen] * penalty, wanted[seen] / penalty)
    assert_equal(shares(logits, repetition_penalty=penalty), softmax(wanted))


@pytest.mark.parametrize("penalty", [-0.5, 1.5])
def test_a_presence_penalty_is_of_the_answer_once(logits: torch.Tensor, penalty: float) -> None:
    wanted = plain(logits)
    wanted[[11, 12]] -= penalty
    assert_equal(shares(logits, presence_penalty=penalty), softmax(wanted))


@pytest.mark.parametrize("penalty", [-0.5, 0.7])
def test_a_frequency_penalty_is_of_the_answer_each_time(logits: torch.Tensor, penalty: float) -> None:
    wanted = plain(logits)
    wanted[[11, 12]] -= np.array([1, 3]) * penalty
    assert_equal(shares(logits, frequency_penalty=penalty), softmax(wanted))


def test_a_bias_is_added_to_a_logit(logits: torch.Tensor) -> None:
    wanted = plain(logits)
    wanted[[7, 20]] += [-100, 5]
    assert_equal(shares(logits, logit_bias={7: -100.0, 20: 5.0}), softmax(wanted))


def test_only_allowed_tokens_come(logits: torch.Tensor) -> None:
    probabilities = softmax(plain(logits))
    wanted = kept(probabilities, np.isin(np.arange(len(probabilities)), [3, 9, 12]))
    assert_equal(shares(logits, allowed_tokens=(3, 9, 12)), wanted)


def test_no_stop_token_comes_before_the_least_number_of_tokens(logits: torch.Tensor) -> None:
    likely_end = logits.clone()
    likely_end[5] = likely_end.max() + 0.1
    probabilities = softmax(plain(likely_end))
    wanted = kept(probabilities, ~np.isin(np.arange(len(probabilities)), list(ENDS)))
    assert_equal(shares(likely_end, min_tokens=len(ANSWER) + 1), wanted)
    assert_equal(shares(likely_end, min_tokens=len(ANSWER)), probabilities)


def test_logprobs_are_those_of_the_model_whatever_was_asked(logits: torch.Tensor) -> None:
    fields: dict[str, Any] = {"temperature": 0.5, "top_k": 1, "presence_penalty": 2, "logprobs": 3}
    sequence = Sequence.of(Request("r", PROMPT, 9, Sampling(**fields)))
    [token] = choose(logits[None], [sequence])
    wanted = np.log(softmax(plain(logits)))
    best = np.argsort(-wanted)[:3]
    assert [each for each, _ in token.alternatives] == best.tolist()
    np.testing.assert_allclose([value for _, value in token.alternatives], wanted[best], atol=1e-5)
    assert token.logprob == pytest.approx(wanted[token.id], abs=1e-5)
