"""What clients get: KAITO's quick start, and OpenAI's API asked by OpenAI's client."""

import functools
from typing import Any

import openai
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import small_model
from tests.serving.servers import Running

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
PROMPTS = ["Once upon a time", "The capital of France is", "def fibonacci(n):", "Water boils at a temperature of"]


@functools.cache
def reference(prompt: str, count: int) -> str:
    """What transformers itself generates, greedily."""
    tokenizer = AutoTokenizer.from_pretrained(small_model.folder())
    model = AutoModelForCausalLM.from_pretrained(small_model.folder(), dtype=torch.float32)
    tokens = tokenizer(prompt, return_tensors="pt")
    output = model.generate(**tokens, max_new_tokens=count, do_sample=False)
    return tokenizer.decode(output[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_quick_start_answers_with_a_result(server: Running):
    greedy = {"max_length": 100, "do_sample": False}
    with server.http() as http:
        answer = http.post("/chat", json={"prompt": "What is the capital of France?", "generate_kwargs": greedy})
    assert answer.json() == {"Result": "The capital of France is Paris."}


def test_a_chat_answers_openais_client(server: Running):
    answer = server.openai().chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    assert answer.choices[0].message.content == "The capital of France is Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_gives_the_same_text_and_ends_with_the_usage(server: Running):
    stream = server.openai().chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "The capital of France is Paris."
    assert chunks[-1].usage.completion_tokens == 8 and len(chunks) > 8


def test_greedy_tokens_are_those_of_generate_alone_and_in_a_batch(server: Running):
    client = server.openai()
    together = client.completions.create(model=MODEL, prompt=PROMPTS, max_tokens=40, temperature=0)
    assert [choice.text for choice in together.choices] == [reference(prompt, 40) for prompt in PROMPTS]
    alone = client.completions.create(model=MODEL, prompt=PROMPTS[0], max_tokens=40, temperature=0)
    assert alone.choices[0].text == together.choices[0].text


def test_a_seed_gives_the_same_answer_alone_and_beside_others(server: Running):
    client = server.openai()
    ask = functools.partial(client.completions.create, model=MODEL, max_tokens=30, temperature=0.9, seed=7)
    alone = ask(prompt=PROMPTS[0]).choices[0].text
    beside = ask(prompt=PROMPTS).choices[0].text
    assert alone == beside
    assert ask(prompt=PROMPTS[0], seed=8).choices[0].text != alone


def test_n_answers_differ_and_are_the_same_next_time(server: Running):
    ask = functools.partial(server.openai().completions.create, model=MODEL, prompt="Once", max_tokens=20, n=3, seed=1)
    first = [choice.text for choice in ask().choices]
    assert len(set(first)) == 3
    assert [choice.text for choice in ask().choices] == first


def test_a_stop_string_ends_the_answer_and_is_not_in_it(server: Running):
    answer = server.openai().chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, stop=" of Fra")
    assert answer.choices[0].message.content == "The capital"
    assert answer.choices[0].finish_reason == "stop"


def raw(server: Running, **body: object) -> dict[str, Any]:
    with server.http() as http:
        wanted = {"messages": QUESTION, "temperature": 0, "max_tokens": 20, **body}
        return http.post("/v1/chat/completions", json=wanted).raise_for_status().json()["choices"][0]


def test_a_stop_string_is_in_the_answer_if_asked_for(server: Running):
    assert raw(server, stop=[" of"], include_stop_str_in_output=True)["message"]["content"] == "The capital of"


def test_a_stop_token_ends_the_answer(server: Running):
    france = AutoTokenizer.from_pretrained(small_model.folder()).encode(" France")[0]
    choice = raw(server, stop_token_ids=[france])
    assert choice["message"]["content"].removesuffix(" France") == "The capital of"
    assert choice["finish_reason"] == "stop"


def test_the_end_token_is_passed_over_and_shown_if_asked_for(server: Running):
    choice = raw(server, ignore_eos=True, skip_special_tokens=False)
    assert choice["message"]["content"].startswith("The capital of France is Paris.<|im_end|>")
    assert choice["finish_reason"] == "length"


def test_logprobs_are_the_log_softmax_of_the_model(server: Running):
    tokenizer = AutoTokenizer.from_pretrained(small_model.folder())
    model = AutoModelForCausalLM.from_pretrained(small_model.folder(), dtype=torch.float32)
    tokens = tokenizer(PROMPTS[0], return_tensors="pt")
    wanted = model(**tokens).logits[0, -1].log_softmax(-1).topk(5)
    body = {"prompt": PROMPTS[0], "max_tokens": 1, "temperature": 0.3, "top_k": 1, "logprobs": 5}
    with server.http() as http:
        [found] = http.post("/v1/completions", json=body).json()["choices"][0]["logprobs"]["top_logprobs"]
    assert list(found) == [tokenizer.decode(token) for token in wanted.indices]
    assert list(found.values()) == pytest.approx(wanted.values.tolist(), abs=1e-4)


def test_logprobs_of_a_greedy_answer_are_the_highest(server: Running):
    answer = server.openai().chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, logprobs=True, top_logprobs=3
    )
    tokens = answer.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == "The capital of France is Paris."
    assert all(token.logprob == token.top_logprobs[0].logprob and token.logprob <= 0 for token in tokens)


def test_a_bias_of_minus_100_bans_a_token(server: Running):
    tokenizer = AutoTokenizer.from_pretrained(small_model.folder())
    banned = {str(tokenizer.encode(" Paris")[0]): -100}
    answer = server.openai().chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, logit_bias=banned)
    assert " Paris" not in answer.choices[0].message.content


def test_a_stream_never_cuts_a_character(server: Running):
    tokens = AutoTokenizer.from_pretrained(small_model.folder()).encode("日本語のテキスト🎉")
    bias = {str(token): 40 for token in tokens}
    stream = server.openai().completions.create(
        model=MODEL, prompt="日本語", max_tokens=40, temperature=1, seed=3, logit_bias=bias, stream=True
    )
    texts = [chunk.choices[0].text for chunk in stream]
    assert any(text for text in texts) and all("\ufffd" not in text for text in texts[:-1])


def test_a_model_that_is_not_served_is_a_404(server: Running):
    with pytest.raises(openai.NotFoundError, match="'gpt-4' is not served here"):
        server.openai().chat.completions.create(model="gpt-4", messages=QUESTION)


def test_a_field_that_is_not_known_is_a_400_that_names_it(server: Running):
    with pytest.raises(openai.BadRequestError, match="frobnicate"):
        server.openai().chat.completions.create(model=MODEL, messages=QUESTION, extra_body={"frobnicate": 1})


def test_too_long_an_answer_is_a_400_that_names_both_lengths(server: Running):
    with pytest.raises(openai.BadRequestError, match=r"37 tokens and max_tokens is 9000.*8192"):
        server.openai().chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=9000)


MODEL = "smollm2-135m-instruct"
