"""Short prompts of one step are attended to at once, as on a GPU, and get the tokens that `generate` gives each."""

from pathlib import Path

import pytest
import torch

from serving_image.engine import prompts
from serving_image.engine.kv import Pool, Row, Shape
from serving_image.engine.prompts import Piece, grouped
from tests.serving import kinds
from tests.serving.kinds import generated, prompt, run
from tests.serving.test_kinds import COUNT, engine, greedy

LENGTHS = (9, 12, 15, 40, 60, 100)  # two groups, and one alone


@pytest.mark.parametrize("kind", ["llama", "mistral", "gemma2", "gpt_oss", "deepseek_v3"])
def test_prompts_of_a_step_get_the_tokens_of_generate(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, stepper, sizes = kinds.made(kind, tmp_path), engine(tmp_path, "--prefill-tokens", "200"), []
    stepper.forward.prompts_together = True
    made = prompts._prompts
    monkeypatch.setattr(prompts, "_prompts", lambda *given: sizes.append(len(given[1])) or made(*given))
    for length in LENGTHS:
        stepper.add(greedy(f"r{length}", prompt(length, length)))
    assert run(stepper) == {f"r{n}": generated(model, prompt(n, n), COUNT) for n in LENGTHS}
    assert sizes[:2] == [3, 2]


def test_long_rows_and_lengths_of_their_own_stay_alone() -> None:
    shape = Shape(1, 1, 8, 8, torch.float32, torch.device("cpu"))
    short, long = Pool(shape, 128, 8), Pool(shape, 2 * prompts.LONGEST_ROW, 8)
    of = [(short, 9), (short, 100), (long, 20), (long, 20), (short, 15)]
    pieces = [Piece(Row(pool, index, [1] * count), count, 0) for index, (pool, count) in enumerate(of)]
    alone, together = grouped(pieces)
    assert [(each.row.index) for each in alone] == [2, 3, 1]
    assert [each.rows.tolist() for each in together] == [[0, 4]]
