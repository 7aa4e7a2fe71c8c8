"""What the base model and the tuned one answer to a few validation prompts, side by side. Called by tuning.

Greedy, so that the same adapter gives the same table. A row without a prompt (plain text) is passed over.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tuning_image.data.tokens import NOT_LEARNED, Tokens

TOKENS = 64  # of each answer
SHOWN = 300  # characters of each cell


@dataclasses.dataclass(frozen=True)
class Sample:
    """One prompt, the answer of the data, and what the models say."""

    prompt: str
    expected: str
    base: str
    tuned: str


def compare(model: Any, tokenizer: Any, rows: Sequence[Tokens], count: int) -> list[Sample]:
    """Samples of the first rows that have a prompt."""
    model.eval()
    model.get_base_model().set_attn_implementation("sdpa")  # of generation, which knows no rows end to end
    starts = [(row, next(at for at, label in enumerate(row.labels) if label != NOT_LEARNED)) for row in rows]
    prompted = [(row, start) for row, start in starts if start > 1]
    return [_sample(model, tokenizer, row, start) for row, start in prompted[:count]]


def _sample(model: Any, tokenizer: Any, row: Tokens, start: int) -> Sample:
    prompt, expected = list(row.ids[:start]), [label for label in row.labels[start:] if label != NOT_LEARNED]
    with model.disable_adapter():
        base = _answer(model, tokenizer, prompt)
    tuned = _answer(model, tokenizer, prompt)
    asked, wanted = (tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in (prompt, expected))
    return Sample(asked, wanted, base, tuned)


@torch.no_grad()
def _answer(model: Any, tokenizer: Any, prompt: list[int]) -> str:
    ids = torch.tensor([prompt], device=model.device)
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=TOKENS,
        use_cache=True,
        pad_token_id=tokenizer.pad_token_id,
        **greedy,
    )
    return str(tokenizer.decode(made[0, len(prompt) :], skip_special_tokens=True)).strip()


def write(output: Path, samples: Sequence[Sample]) -> str:
    """`samples.json` and `samples.md`; the table."""
    found = [dataclasses.asdict(sample) for sample in samples]
    (output / "samples.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    head = ["| Prompt | Expected | Base | Tuned |", "|---|---|---|---|"]
    lines = [f"| {' | '.join(_cell(text) for text in sample.values())} |" for sample in found]
    table = "\n".join([*head, *lines])
    (output / "samples.md").write_text(table + "\n")
    return table


def _cell(text: str) -> str:
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= SHOWN else flat[:SHOWN] + "…"
