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


FOUR_TURNS = (
    ("user", " One? "), ("assistant", " Uno. "), ("user", "Two?"), ("assistant", "Dos.\n"),
    ("user", "Uno."), ("assistant", "Yes, Uno."),
)  # fmt: skip
# Shapes that models come with, all but the first without {% generation %}; most strip what a turn says.
TEMPLATES = {
    "marked": "{% for m in messages %}{% if m.role == 'assistant' %}"
    "<a>{% generation %}{{ m.content }}<e>{% endgeneration %}"
    "{% else %}<{{ m.role }}>{{ m.content }}<e>{% endif %}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}",
    "brackets": "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content|trim }} [/INST]"
    "{% else %} {{ m.content|trim }}</s>{% endif %}{% endfor %}",
    "gemma": "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content|trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
    "llama 3": "{% for m in messages %}<|head|>{{ m.role }}<|/head|>\n\n{{ m.content|trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}",
    "phi": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "ends": "{% for m in messages %}<{{ m.role }}>{{ m.content|trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% else %}<|endoftext|>{% endif %}",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_token_of_a_user_is_learned_whatever_the_template(tokenizer: Any, monkeypatch: Any, name: str) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", TEMPLATES[name])
    said = learned(tokenizer, Example(messages=FOUR_TURNS))
    for text in ("One?", "Two?", "user", "INST", "<|head|>", "<start_of_turn>"):
        assert text not in said
    assert said.count("Uno.") == 2 and "Dos." in said and "Yes," in said


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
