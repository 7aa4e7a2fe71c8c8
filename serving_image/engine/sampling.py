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
    others = [each for each in range(len(sequences)) if each not in tokens]
    changed = logits[others].float()  # a copy
    for row, index in zip(changed.unbind(), others, strict=True):
        try:
            _limit(row, sequences[index])
        except EngineError as error:
            tokens[index] = error
    able = [place for place, index in enumerate(others) if index not in tokens]
    if able:
        changed = changed if len(able) == len(others) else changed[able]
        drawn = _chosen(changed, [sequences[others[place]] for place in able])
        for index, token in zip([others[place] for place in able], drawn, strict=True):
            tokens[index] = _with_logprobs(token, logits[index], sequences[index].request.sampling.logprobs)
    return [tokens[index] for index in range(len(sequences))]


def most_likely(logits: torch.Tensor) -> list[int]:
    """The first of the largest. `max` is ten times faster than `argmax` for bfloat16 on CPUs."""
    chosen = logits.max(-1).indices if logits.device.type == "cpu" else logits.argmax(-1)
    return [int(token) for token in chosen.tolist()]


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


def _limit(logits: torch.Tensor, sequence: Sequence) -> None:
    """Penalties, bias and whatever forbids a token, on the logits (V,) in place."""
    _penalise(logits, sequence)
    if len(sequence.answer) < sequence.request.min_tokens:
        logits[list(sequence.request.stop_tokens)] = -math.inf
    if sequence.matcher:
        sequence.matcher.mask(logits)


def _chosen(logits: torch.Tensor, sequences: Many[Sequence]) -> list[int]:
    """The most likely token where the temperature is 0, else one that is drawn; all rows at once, as a GPU wants it."""
    samplings = [sequence.request.sampling for sequence in sequences]
    drawn = [index for index, sampling in enumerate(samplings) if sampling.temperature > 0]
    tokens = logits.argmax(-1)
    if drawn:
        numbers = [sequences[index].random.random() for index in drawn]
        tokens[drawn] = _draw(logits[drawn], [samplings[index] for index in drawn], numbers)
    return [int(token) for token in tokens.tolist()]


def _penalise(logits: torch.Tensor, sequence: Sequence) -> None:
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


def _draw(logits: torch.Tensor, samplings: Many[Sampling], numbers: Many[float]) -> torch.Tensor:
    """(n,) the tokens at `numbers` (0 to 1) of the distributions that temperature, top_k, top_p and min_p leave."""
    logits = logits / logits.new_tensor([sampling.temperature for sampling in samplings])[:, None]
    places = torch.tensor(numbers, dtype=torch.float64, device=logits.device)
    cut = [index for index, each in enumerate(samplings) if each.top_k > 0 or each.top_p < 1 or each.min_p > 0]
    if not cut:
        return _at(logits.softmax(-1), places)
    tokens = torch.empty(len(samplings), dtype=torch.long, device=logits.device)
    if len(cut) < len(samplings):
        whole = [index for index in range(len(samplings)) if index not in set(cut)]
        tokens[whole] = _at(logits[whole].softmax(-1), places[whole])
    chosen = [samplings[index] for index in cut]
    width = max(SHORTLIST, *(sampling.top_k for sampling in chosen), 0)
    tokens[cut] = _draw_cut(logits[cut], chosen, places[cut], min(width, logits.shape[1]))
    return tokens


def _draw_cut(logits: torch.Tensor, samplings: Many[Sampling], places: torch.Tensor, width: int) -> torch.Tensor:
    """The same from a shortlist of `width` tokens; rows that keep more than those are drawn from all tokens."""
    top_k = torch.tensor([[each.top_k or logits.shape[1]] for each in samplings], device=logits.device)
    top_p, min_p = logits.new_tensor([[each.top_p, each.min_p] for each in samplings]).split(1, dim=1)
    values, tokens = logits.topk(width)
    values = values.masked_fill(torch.arange(width, device=logits.device) >= top_k, -math.inf)
    total = torch.where(top_k <= width, values.logsumexp(-1, keepdim=True), logits.logsumexp(-1, keepdim=True))
    probabilities = (values - total).exp()
    before = probabilities.cumsum(-1) - probabilities
    kept = probabilities * (before < top_p)
    kept = kept * (kept >= min_p * kept[:, :1])
    found = tokens.gather(1, _at(kept, places)[:, None])[:, 0]
    if width < logits.shape[1]:
        ends = (top_k <= width) | (probabilities.sum(-1, keepdim=True) >= top_p)
        ends |= (min_p > 0) & (probabilities[:, -1:] <= min_p * probabilities[:, :1])
        if longer := [index for index, is_enough in enumerate(ends[:, 0].tolist()) if not is_enough]:
            others = [samplings[index] for index in longer]
            found[longer] = _draw_cut(logits[longer], others, places[longer], logits.shape[1])
    return found


def _at(probabilities: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Where each running sum (n, V) passes `places` (n,) of its whole; never a token of probability 0."""
    sums = probabilities.double().cumsum(-1)
    found = torch.searchsorted(sums, sums[:, -1:] * places[:, None], right=True)[:, 0]
    possible = torch.arange(sums.shape[1], device=sums.device) * (probabilities > 0)
    return torch.minimum(found, possible.amax(-1))


def _with_logprobs(token: int, logits: torch.Tensor, count: int | None) -> Token:
    """With what the model itself says of the token, before penalties and temperature."""
    if count is None:
        return Token(token)
    logprobs = logits.float().log_softmax(-1)
    values, tokens = logprobs.topk(count)
    alternatives = zip(tokens.tolist(), values.tolist(), strict=True)
    return Token(token, float(logprobs[token]), tuple((int(each), float(value)) for each, value in alternatives))
