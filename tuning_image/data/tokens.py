"""Examples → token ids and which of them are learned. Called by __main__ after data.loading.

The learned part of a chat is what the assistant says, its end-of-turn token included. Where the template has no
generation markers, a turn is what the rendered chat grows by when the turn is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuning_image.data.rows import BadRow
from tuning_image.data.shapes import Example, Messages, RowError

NOT_LEARNED = -100  # what PyTorch's cross entropy leaves out
Span = tuple[int, int]


@dataclass(frozen=True)
class Tokens:
    """One sequence; `labels` are the ids that are learned, NOT_LEARNED elsewhere. Both are (T,)."""

    ids: Sequence[int]
    labels: Sequence[int]
    file: str = ""
    number: int = 0
    truncated: bool = False
    rejected: "Tokens | None" = None


@dataclass(frozen=True)
class Masking:
    """Which parts of a sequence are learned, and how long it may be."""

    max_length: int
    assistant_only: bool = True
    completion_only: bool = True


def tokenize(tokenizer: Any, examples: Sequence[Example], masking: Masking) -> tuple[list[Tokens], list[BadRow]]:
    """Every example's tokens, and the rows of which nothing learned is left."""
    good: list[Tokens] = []
    bad: list[BadRow] = []
    for example in examples:
        try:
            good.append(tokens(tokenizer, example, masking))
        except RowError as error:
            bad.append(BadRow(example.file, example.number, str(error)))
    return good, bad


def tokens(tokenizer: Any, example: Example, masking: Masking) -> Tokens:
    """One example's tokens.

    Raises:
        RowError: If nothing that is learned is left, or the template cannot render the chat.
    """
    text, spans = _chat(tokenizer, example, masking) if example.messages else _parts(tokenizer, example, masking)
    encoded = tokenizer(text, add_special_tokens=not example.messages, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    learned = _inside(offsets, spans)
    labels = [i if inside else NOT_LEARNED for i, inside in zip(ids, learned, strict=True)]
    cut_ids, cut_labels = ids[: masking.max_length], labels[: masking.max_length]
    if all(label == NOT_LEARNED for label in cut_labels[1:]):
        raise RowError(f"the first {masking.max_length} of its {len(ids)} tokens hold no answer; raise max_length")
    rejected = tokens(tokenizer, example.rejected, masking) if example.rejected else None
    return Tokens(cut_ids, cut_labels, example.file, example.number, len(ids) > masking.max_length, rejected)


def _parts(tokenizer: Any, example: Example, masking: Masking) -> tuple[str, list[Span]]:
    text, spans = "", []
    for part, learned in example.parts:
        if learned or not masking.completion_only:
            spans.append((len(text), len(text) + len(part)))
        text += part
    end = tokenizer.eos_token or ""
    return text + end, [*spans, (len(text), len(text) + len(end))]


def _chat(tokenizer: Any, example: Example, masking: Masking) -> tuple[str, list[Span]]:
    if not tokenizer.chat_template:
        raise RowError("is a chat, but the tokenizer has no chat template; set ModelConfig.chat_template to a file")
    text = _render(tokenizer, example.messages)
    if not masking.assistant_only:
        return text, [(0, len(text))]
    turns = [index for index, (role, _) in enumerate(example.messages) if role == "assistant"]
    return text, [_turn(tokenizer, example.messages, index, text) for index in turns]


def _turn(tokenizer: Any, messages: Messages, index: int, text: str) -> Span:
    """The characters of one assistant turn in the rendered chat."""
    before = _render(tokenizer, messages[:index], prompt=True)
    after = _render(tokenizer, messages[: index + 1])
    content = messages[index][1].strip()
    if text.startswith(before) and text.startswith(after):
        return len(before), len(text[: len(after)].rstrip())
    if text.startswith(before) and text[len(before) :].lstrip().startswith(content):
        start = text.index(content, len(before))
        return start, start + len(content)
    start = text.rfind(content, 0, len(text)) if index == len(messages) - 1 else text.find(content)
    if start < 0 or text.count(content) != 1:
        raise RowError(f"the chat template changes messages[{index}] when others follow: its place cannot be told")
    return start, start + len(content)


def _render(tokenizer: Any, messages: Messages, prompt: bool = False) -> str:
    chat = [{"role": role, "content": content} for role, content in messages]
    try:
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=prompt))
    except Exception as error:  # templates raise their own kinds: jinja2's, ValueError, TypeError
        raise RowError(f"the chat template refuses it: {error}") from None


def _inside(offsets: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """For each token whether it lies in a span; spans are in order and apart."""
    result, at = [], 0
    for start, end in offsets:
        while at < len(spans) and spans[at][1] <= start:
            at += 1
        result.append(at < len(spans) and end > spans[at][0] and end > start)
    return result
