"""From logits to the next token of each sequence. Called by the stepper, once a step for all sequences.

Each request draws from its own generator, one number a token, so that its tokens do not depend on its neighbours
(beyond what rounding in a larger batch does to the logits).
"""

import math
from collections.abc import Sequence as Many

import torch

from serving_image.engine.sequence import Sequence
from serving_image.errors import EngineError
from serving_image.requests import Sampling, Token

SHORTLIST = 256  # tokens in which top_p and top_k nearly always find what they keep; else all are sorted


def choose(logits: torch.Tensor, sequences: Many[Sequence]) -> list[Token | EngineError]:
    """The next token of each sequence, or why there is none.

    Args:
        logits: (n, V), one row per sequence, in the model's dtype; rows that need it are changed in a copy.
        sequences: In the order of the rows.
    """
    plain = [index for index, sequence in enumerate(sequences) if _is_plain(sequence)]
    if len(plain) == len(sequences):
        return [Token(token) for token in most_likely(logits)]
    tokens: dict[int, Token | EngineError] = {}
    if plain:
        chosen = most_likely(logits[plain])
        tokens = {index: Token(token) for index, token in zip(plain, chosen, strict=True)}
    for index, sequence in enumerate(sequences):
        if index not in tokens:
            try:
                tokens[index] = _choose_one(logits[index].float(), sequence)
            except EngineError as error:
                tokens[index] = error
    return [tokens[index] for index in range(len(sequences))]


def most_likely(logits: torch.Tensor) -> list[int]:
    """The first of the largest. A search for equality is several times faster than argmax for bfloat16 on CPUs."""
    if logits.device.type != "cpu" or logits.dtype == torch.float32:
        return [int(token) for token in logits.argmax(-1).tolist()]
    equal = logits == logits.amax(-1, keepdim=True)
    return [int(token) for token in equal.view(torch.uint8).argmax(-1).tolist()]


def _is_plain(sequence: Sequence) -> bool:
    sampling = sequence.request.sampling
    return (
        sampling.temperature == 0
        and sampling.logprobs is None
        and not _changes_logits(sampling)
        and sequence.matcher is None
        and len(sequence.answer) >= sequence.request.min_tokens
    )


def _changes_logits(sampling: Sampling) -> bool:
    return bool(
        sampling.repetition_penalty != 1
        or sampling.presence_penalty
        or sampling.frequency_penalty
        or sampling.logit_bias
        or sampling.allowed_tokens
    )


def _choose_one(logits: torch.Tensor, sequence: Sequence) -> Token:
    sampling = sequence.request.sampling
    original = logits.log_softmax(-1) if sampling.logprobs is not None else None
    logits = _penalise(logits.clone(), sequence)
    if len(sequence.answer) < sequence.request.min_tokens:
        logits[list(sequence.request.stop_tokens)] = -math.inf
    if sequence.matcher:
        sequence.matcher.mask(logits)
    token = int(logits.argmax()) if sampling.temperature == 0 else _draw(logits, sampling, sequence.random.random())
    return _with_logprobs(token, original, sampling.logprobs)


def _penalise(logits: torch.Tensor, sequence: Sequence) -> torch.Tensor:
    """As transformers (repetition) and OpenAI (presence, frequency, bias) define it."""
    sampling = sequence.request.sampling
    if sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(sequence.tokens)), device=logits.device)
        values = logits[seen]
        factor = sampling.repetition_penalty
        logits[seen] = torch.where(values < 0, values * factor, values / factor)
    if (sampling.presence_penalty or sampling.frequency_penalty) and sequence.answer:
        answer = torch.tensor(sequence.answer, device=logits.device)
        counts = torch.bincount(answer, minlength=logits.shape[0])
        logits -= sampling.presence_penalty * (counts > 0) + sampling.frequency_penalty * counts
    for token, bias in sampling.logit_bias.items():
        logits[token] += bias
    if sampling.allowed_tokens:
        allowed = torch.tensor(sampling.allowed_tokens, device=logits.device)
        kept = logits[allowed]
        logits.fill_(-math.inf)
        logits[allowed] = kept
    return logits


def _draw(logits: torch.Tensor, sampling: Sampling, number: float) -> int:
    """The token at `number` (0 to 1) of the distribution that temperature, top_k, top_p and min_p leave."""
    logits = logits / sampling.temperature
    if sampling.top_k <= 0 and sampling.top_p >= 1 and sampling.min_p <= 0:
        return _at(logits.softmax(-1), number)
    values, tokens = _largest(logits, sampling)
    probabilities = values.softmax(-1) if 0 < sampling.top_k <= len(values) else (values - logits.logsumexp(-1)).exp()
    if sampling.top_k > 0:
        values, tokens = values[: sampling.top_k], tokens[: sampling.top_k]
        probabilities = values.softmax(-1)
    if sampling.top_p < 1:
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities * (before < sampling.top_p)
    probabilities = probabilities * (probabilities >= sampling.min_p * probabilities[0])
    return int(tokens[_at(probabilities, number)])


def _largest(logits: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """The shortlist in falling order, or all tokens where the shortlist does not hold what the request keeps."""
    if sampling.top_k > 0:
        values, tokens = logits.topk(min(sampling.top_k, len(logits)))
        return values, tokens
    values, tokens = logits.topk(min(SHORTLIST, len(logits)))
    total = logits.logsumexp(-1)
    enough = (values - total).exp().sum() >= sampling.top_p
    smallest_kept = values[-1] <= values[0] + math.log(sampling.min_p) if sampling.min_p > 0 else False
    if enough or bool(smallest_kept):
        return values, tokens
    values, tokens = logits.sort(descending=True)
    return values, tokens


def _at(probabilities: torch.Tensor, number: float) -> int:
    """Where the running sum passes `number` of the whole; never a token of probability 0."""
    sums = probabilities.double().cumsum(-1)
    index = int(torch.searchsorted(sums, sums[-1] * number, right=True))
    last = int(probabilities.nonzero()[-1])
    return min(index, last)


def _with_logprobs(token: int, logprobs: torch.Tensor | None, count: int | None) -> Token:
    if logprobs is None or count is None:
        return Token(token)
    values, tokens = logprobs.topk(count)
    alternatives = zip(tokens.tolist(), values.tolist(), strict=True)
    return Token(token, float(logprobs[token]), tuple((int(each), float(value)) for each, value in alternatives))
