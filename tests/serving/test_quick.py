"""KAITO's former generation fields on POST /chat: each has its effect on the real model."""

from typing import Any

import pytest
from transformers import AutoTokenizer

from benchmarks import small_model
from tests.serving.servers import Running

QUESTION = "What is the capital of France?"
GREEDY = "The capital of France is Paris."
SAMPLED = {"temperature": 4.0, "top_k": 0, "seed": 1, "max_new_tokens": 12}


def ask(server: Running, prompt: str = QUESTION, body: dict[str, Any] | None = None, **fields: Any) -> Any:
    with server.http() as http:
        answer = http.post("/chat", json={"prompt": prompt, "generate_kwargs": fields, **(body or {})})
    return answer.raise_for_status().json()["Result"]


def greedy(server: Running, **fields: Any) -> Any:
    return ask(server, do_sample=False, **fields)


def count(server: Running, **body: Any) -> int:
    with server.http() as http:
        return int(http.post("/tokenize", json=body).json()["count"])


def test_max_length_counts_the_prompt_too(server: Running):
    prompt = count(server, messages=[{"role": "user", "content": QUESTION}])
    assert greedy(server, max_length=prompt + 3) == greedy(server, max_new_tokens=3) == "The capital of"


def test_max_new_tokens_goes_before_max_length(server: Running):
    assert greedy(server, max_length=1, max_new_tokens=4) == "The capital of France"


def test_min_length_forbids_an_early_end(server: Running):
    prompt = count(server, messages=[{"role": "user", "content": QUESTION}])
    longer = greedy(server, min_length=prompt + 20, max_new_tokens=20)
    assert longer.startswith(GREEDY) and count(server, prompt=longer) >= 19


def test_do_sample_draws_and_a_seed_repeats_it(server: Running):
    assert ask(server, **SAMPLED) == ask(server, **SAMPLED) != greedy(server)
    assert ask(server, **{**SAMPLED, "seed": 2}) != ask(server, **SAMPLED)


@pytest.mark.parametrize("field", [{"temperature": 0.001}, {"top_k": 1}, {"top_p": 0.000001}])
def test_each_limit_on_the_draw_leaves_the_likeliest_where_it_is_tight(server: Running, field: dict[str, Any]):
    assert ask(server, **{**SAMPLED, **field}) == GREEDY


def test_a_repetition_penalty_changes_the_answer(server: Running):
    assert greedy(server, repetition_penalty=3.0, max_new_tokens=20) != GREEDY


def test_an_eos_token_id_ends_the_answer(server: Running):
    france = AutoTokenizer.from_pretrained(small_model.folder()).encode(" France")[0]
    assert greedy(server, eos_token_id=france).removesuffix(" France") == "The capital of"


def test_several_sequences_are_a_list_that_differs(server: Running):
    answers = ask(server, **{**SAMPLED, "num_return_sequences": 3})
    assert len(set(answers)) == 3 and answers[0] == ask(server, **SAMPLED)


def test_the_full_text_begins_with_prefix_and_prompt(server: Running):
    whole = ask(server, body={"return_full_text": True, "prefix": "Answer me. "}, do_sample=False)
    answer = greedy(server, prompt=f"Answer me. {QUESTION}")
    assert whole == f"Answer me. {QUESTION}{answer}"
