"""/tokenize and /detokenize tell what generation sees."""

import pytest
from transformers import AutoTokenizer

from benchmarks import small_model
from tests.serving.servers import Running

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
TEXT = "Hello, 日本語 🎉"


def ask(server: Running, path: str, **body: object) -> dict[str, object]:
    with server.http() as http:
        return http.post(path, json=body).raise_for_status().json()


def refusal(server: Running, path: str, **body: object) -> tuple[int, str]:
    with server.http() as http:
        answer = http.post(path, json=body)
    return answer.status_code, answer.json()["error"]["param"]


def test_a_text_has_the_tokens_that_its_tokenizer_gives(server: Running):
    found = ask(server, "/tokenize", prompt=TEXT)
    tokens = AutoTokenizer.from_pretrained(small_model.folder())(TEXT)["input_ids"]
    assert found == {"count": len(tokens), "max_model_len": 8192, "tokens": tokens}


def test_tokens_turn_back_into_their_text(server: Running):
    tokens = ask(server, "/tokenize", prompt=TEXT)["tokens"]
    assert ask(server, "/detokenize", tokens=tokens) == {"prompt": TEXT}


def test_the_strings_of_tokens_come_if_asked_for(server: Running):
    found = ask(server, "/tokenize", prompt="Hello world", return_token_strs=True)
    assert found["token_strs"] == ["Hello", "Ġworld"]


def test_a_chat_has_as_many_tokens_as_its_answer_counts(server: Running):
    counted = ask(server, "/tokenize", messages=MESSAGES)["count"]
    answer = ask(server, "/v1/chat/completions", messages=MESSAGES, max_tokens=1)
    assert counted == answer["usage"]["prompt_tokens"]


def test_a_template_of_the_request_is_used(server: Running):
    template = "{{ word }}: {{ messages[0].content }}"
    found = ask(
        server, "/tokenize", messages=MESSAGES, chat_template=template, chat_template_kwargs={"word": "Question"}
    )
    text = ask(server, "/detokenize", tokens=found["tokens"])["prompt"]
    assert text == "Question: What is the capital of France?"


@pytest.mark.parametrize(("more", "role"), [("", "system"), ("{# developer #}", "developer")])
def test_a_developer_is_the_system_where_the_template_does_not_name_the_role(server: Running, more: str, role: str):
    template = more + "{% for m in messages %}{{ m.role }}: {{ m.content }} {% endfor %}"
    turns = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": "Hi"}]
    tokens = ask(server, "/tokenize", messages=turns, chat_template=template)["tokens"]
    assert ask(server, "/detokenize", tokens=tokens)["prompt"] == f"{role}: Be short. user: Hi "


def test_a_template_without_a_system_role_gets_its_words_before_the_users(server: Running):
    template = "{% for m in messages %}{{ raise_exception('no') if m.role == 'system' else m.content }}{% endfor %}"
    turns = [{"role": "system", "content": "Be short."}, *MESSAGES]
    tokens = ask(server, "/tokenize", messages=turns, chat_template=template)["tokens"]
    assert ask(server, "/detokenize", tokens=tokens)["prompt"] == "Be short.\n\nWhat is the capital of France?"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "a", "messages": MESSAGES}, "prompt"),
        ({"prompt": "a", "add_generation_prompt": False}, "add_generation_prompt"),
        ({"messages": MESSAGES, "add_special_tokens": True}, "add_special_tokens"),
        ({"messages": MESSAGES, "continue_final_message": True}, "continue_final_message"),
        ({"messages": MESSAGES, "tools": [{"type": "function", "function": {"name": "now"}}]}, "tools"),
        ({"prompt": "a", "frobnicate": 1}, "frobnicate"),
    ],
)
def test_what_cannot_be_is_a_400_that_names_the_field(server: Running, body: dict[str, object], field: str):
    assert refusal(server, "/tokenize", **body) == (400, field)


@pytest.mark.parametrize("token", [-1, 10**9])
def test_a_token_that_the_model_does_not_have_is_a_400(server: Running, token: int):
    assert refusal(server, "/detokenize", tokens=[1, token]) == (400, "tokens")
