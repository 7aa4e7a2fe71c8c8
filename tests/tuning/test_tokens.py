"""Which tokens carry loss."""

from typing import Any

import pytest
from conftest import chat

from tuning_image.data import tokens
from tuning_image.data.shapes import Example, RowError, example
from tuning_image.sections import DatasetSection

MASKING = tokens.Masking(max_length=512)
CHANGING = "{% for m in messages %}<{{ m.role }}>{% if loop.last %}!{% endif %}{{ m.content }}\n{% endfor %}"


def learned(tokenizer: Any, of: Example, masking: tokens.Masking = MASKING) -> str:
    """The text of the tokens with loss."""
    return str(tokenizer.decode([i for i in tokens.tokens(tokenizer, of, masking).labels if i >= 0]))


def conversation() -> Example:
    turns = [("system", "Be brief."), ("user", "One?"), ("assistant", "Uno."), ("user", "Two?"), ("assistant", "Dos.")]
    return Example(messages=tuple(turns))


def test_only_what_the_assistant_says_is_learned(tokenizer: Any) -> None:
    assert "generation" not in tokenizer.chat_template.replace("add_generation_prompt", "")
    assert learned(tokenizer, conversation()) == "Uno.<|im_end|>Dos.<|im_end|>"


def test_a_template_that_changes_earlier_turns_still_finds_them(tokenizer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", CHANGING)
    assert "Uno." in learned(tokenizer, conversation()) and "Two?" not in learned(tokenizer, conversation())


def test_a_place_that_cannot_be_told_is_an_error_not_a_guess(tokenizer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", CHANGING)
    same = Example(messages=(("user", "Uno."), ("assistant", "Uno."), ("user", "b"), ("assistant", "c")))
    with pytest.raises(RowError, match="cannot be told"):
        tokens.tokens(tokenizer, same, MASKING)


def test_all_is_learned_where_the_user_says_so(tokenizer: Any) -> None:
    assert "One?" in learned(tokenizer, conversation(), tokens.Masking(512, assistant_only=False))


def test_of_a_pair_the_completion_and_its_end_are_learned(tokenizer: Any) -> None:
    pair = example({"prompt": "The sky is", "completion": " blue."}, DatasetSection())
    assert learned(tokenizer, pair) == " blue.<|im_end|>"


def test_a_long_row_is_cut_and_counted(tokenizer: Any) -> None:
    long = example(chat("a", "word " * 100), DatasetSection())
    cut = tokens.tokens(tokenizer, long, tokens.Masking(max_length=64))
    assert len(cut.ids) == 64 and cut.truncated


def test_a_row_whose_answer_is_cut_away_is_bad(tokenizer: Any) -> None:
    _, bad = tokens.tokenize(tokenizer, [example(chat("word " * 100), DatasetSection())], tokens.Masking(64))
    assert "hold no answer" in bad[0].reason
