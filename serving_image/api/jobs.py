"""From a body to the engine's requests. Called by the routes of answers."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from serving_image.api import reading, tools
from serving_image.api.answers import Job, check_length
from serving_image.api.grammars import grammar_of
from serving_image.api.refusals import bad
from serving_image.api.schema import ChatBody, SamplingBody, sampling
from serving_image.api.state import Server
from serving_image.api.tokenizer import Tokenizer
from serving_image.requests import Request, Sampling

INLINE_CHARACTERS = 20_000  # longer texts are tokenized in a thread, so that others do not wait


async def tokenize(text_length: int, work: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """Run `work` here if it is short, else beside the event loop."""
    return work() if text_length <= INLINE_CHARACTERS else await asyncio.to_thread(work)


async def chat(server: Server, body: ChatBody, request_id: str) -> tuple[Job, reading.Form]:
    """All answers to a chat, and how they are read.

    Raises:
        Refusal: For what the model's template or this server does not have.
    """
    tokenizer = server.loaded()
    if body.top_logprobs is not None and not body.logprobs:
        raise bad("top_logprobs", "needs logprobs: true")
    if body.continue_final_message and body.add_generation_prompt:
        raise bad("continue_final_message", "needs add_generation_prompt: false")
    wanted, variables = tools.wanted(server, body), _variables(tokenizer, body)
    grammar = await grammar_of(body, wanted.schema)
    messages = [message.plain() for message in body.messages]
    template = server.template(body.model, body.chat_template)
    prompt = await tokenize(
        sum(len(message["content"]) for message in messages),
        lambda: tokenizer.chat(
            messages,
            tools=wanted.described,
            template=template,
            add_generation_prompt=body.add_generation_prompt,
            continue_final_message=body.continue_final_message,
            variables=variables,
        ),
    )
    alternatives = (body.top_logprobs or 0) if body.logprobs else None
    most = body.max_completion_tokens or body.max_tokens
    made = job(server, body, request_id, prompt, most, alternatives, grammar)
    form = reading.form_of(server, body, wanted, prompt, constrained=grammar is not None)
    return (replace(made, skip_special=False) if form.is_in_special_tokens else made), form


def _variables(tokenizer: Tokenizer, body: ChatBody) -> dict[str, object]:
    """For the chat template."""
    variables = dict(body.chat_template_kwargs or {})
    if body.reasoning_effort is None:
        return variables
    if not tokenizer.names("reasoning_effort", body.chat_template):
        raise bad("reasoning_effort", "this model's chat template does not know it; leave it out")
    return {**variables, "reasoning_effort": body.reasoning_effort}


def job(
    server: Server,
    body: SamplingBody,
    request_id: str,
    prompt: tuple[int, ...],
    max_tokens: int | None,
    logprobs: int | None,
    grammar: str | None = None,
) -> Job:
    """All answers to one prompt.

    Raises:
        Refusal: For lengths and token ids that cannot be.
    """
    tokenizer = server.loaded()
    _check_tokens(server, body, prompt)
    chosen = sampling(body, tokenizer.defaults, logprobs)
    request = Request(
        id=request_id,
        prompt=prompt,
        max_tokens=check_length(server, prompt, max_tokens),
        sampling=chosen,
        stop_tokens=_stop_tokens(body, tokenizer),
        min_tokens=body.min_tokens,
        adapter=server.adapter(body.model),
        grammar=grammar,
    )
    if body.min_tokens > request.max_tokens:
        raise bad("min_tokens", f"{body.min_tokens} is more than max_tokens, {request.max_tokens}")
    requests = [
        replace(request, id=f"{request_id}-{index}", sampling=_seeded(chosen, index)) for index in range(body.n)
    ]
    return Job(requests, body.stops, body.include_stop_str_in_output, body.skip_special_tokens)


def _stop_tokens(body: SamplingBody, tokenizer: Tokenizer) -> frozenset[int]:
    ends = frozenset() if body.ignore_eos else tokenizer.stop_tokens
    return ends | frozenset(body.stop_token_ids or ())


def _seeded(chosen: Sampling, index: int) -> Sampling:
    """The n answers to one prompt differ, and are the same next time."""
    return chosen if chosen.seed is None else replace(chosen, seed=chosen.seed + index)


def _check_tokens(server: Server, body: SamplingBody, prompt: Sequence[int]) -> None:
    assert server.engine.info
    size = server.engine.info.vocabulary
    given = {
        "prompt": list(prompt),
        "stop_token_ids": body.stop_token_ids or [],
        "allowed_token_ids": body.allowed_token_ids or [],
    }
    try:
        given["logit_bias"] = [int(token) for token in body.logit_bias or {}]
    except ValueError:
        raise bad("logit_bias", "its keys must be token ids") from None
    for name, tokens in given.items():
        if wrong := [token for token in tokens if not 0 <= token < size]:
            raise bad(name, f"token {wrong[0]} is not one of this model's {size}")
