"""From answers to figures. Called by the bench command and benchmarks/."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from serving_image.bench.load import REFUSED, Answer


@dataclass(frozen=True)
class Figures:
    """Of one load; seconds throughout.

    Attributes:
        whole: Accepted answers that came to their end.
        lost: Accepted answers that did not.
        refused: Answered 429.
        refusal_p50: How long a refusal took.
    """

    concurrency: int
    tokens_per_second: float
    first_token_p50: float
    first_token_p95: float
    gap_p50: float
    gap_p95: float
    whole: int
    lost: int
    refused: int
    refusal_p50: float


def figures(answers: Sequence[Answer], concurrency: int, *, cut: bool = False) -> Figures:
    """Sum up a load.

    Args:
        answers: All of one load.
        concurrency: How many were in flight.
        cut: The load was stopped early: what came counts, unfinished answers are not lost.
    """
    accepted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == REFUSED]
    seconds = max(answer.ended for answer in answers) - min(answer.sent for answer in answers if answer.sent)
    firsts = [answer.pieces[0] - answer.sent for answer in accepted if answer.pieces]
    gaps = [later - earlier for answer in accepted for earlier, later in pairwise(answer.pieces)]
    return Figures(
        concurrency,
        sum(answer.tokens for answer in accepted) / seconds,
        share(firsts, 0.5),
        share(firsts, 0.95),
        share(gaps, 0.5),
        share(gaps, 0.95),
        sum(answer.whole for answer in accepted),
        0 if cut else sum(not answer.whole for answer in accepted),
        len(refused),
        share([answer.ended - answer.sent for answer in refused], 0.5),
    )


def share(values: Sequence[float], part: float) -> float:
    """The value below which `part` of them lie; 0 for none."""
    if not values:
        return 0.0
    if part == 0.5:
        return statistics.median(values)
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
