"""POST /chat: KAITO's quick start. `{"prompt": ...}` in, `{"Result": ...}` out.

Source of the fields: KAITO docs v0.8 inference.md (its former transformers runtime).
"""

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, StrictBool, StrictStr

from serving_image.api import jobs, respond
from serving_image.api.answers import Job, Usage, answer, charge
from serving_image.api.refusals import bad
from serving_image.api.schema import MAX_TOP_K, Body, Count, Number, SamplingBody, Seed
from serving_image.api.state import Server, server_of

router = APIRouter()


class GenerateKwargs(Body):
    """KAITO's generation fields with its defaults; those that would need beams are refused."""

    HARMLESS = ("pad_token_id", "return_dict_in_generate", "remove_invalid_values")
    max_length: Annotated[Count, Field(ge=1)] = 200
    max_new_tokens: Annotated[Count, Field(ge=1)] | None = None
    min_length: Annotated[Count, Field(ge=0)] = 0
    do_sample: StrictBool = True
    temperature: Annotated[Number, Field(ge=0, le=100)] = 1.0
    top_k: Annotated[Count, Field(ge=0, le=MAX_TOP_K)] = 10
    top_p: Annotated[Number, Field(gt=0, le=1)] = 1.0
    repetition_penalty: Annotated[Number, Field(gt=0, le=100)] = 1.0
    eos_token_id: Count | None = None
    num_return_sequences: Annotated[Count, Field(ge=1, le=16)] = 1
    seed: Seed | None = None
    pad_token_id: Count | None = None
    return_dict_in_generate: StrictBool = False
    remove_invalid_values: StrictBool | None = None
    early_stopping: Literal[False] = False
    num_beams: Literal[1] = 1
    num_beam_groups: Literal[1] = 1
    diversity_penalty: Literal[0] = 0
    typical_p: Literal[1] = 1
    length_penalty: Literal[1] = 1
    no_repeat_ngram_size: Literal[0] = 0
    encoder_no_repeat_ngram_size: Literal[0] = 0
    bad_words_ids: None = None
    output_scores: Literal[False] = False
    forced_bos_token_id: None = None
    forced_eos_token_id: None = None


class QuickBody(Body):
    """POST /chat."""

    prompt: StrictStr
    model: StrictStr | None = None
    return_full_text: StrictBool = False
    clean_up_tokenization_spaces: Literal[False] = False
    prefix: StrictStr | None = None
    handle_long_generation: Literal[None] = None
    generate_kwargs: GenerateKwargs = GenerateKwargs()


@router.post("/chat")
async def chat(body: QuickBody, request: Request) -> Any:
    """One prompt, one answer; the chat template is applied where the model has one."""
    server = server_of(request)
    job = await _job(server, body)
    charge(request.state.key, [job])
    texts = await respond.while_connected(request, lambda: _texts(server, job))
    if body.return_full_text:
        texts = [(body.prefix or "") + body.prompt + text for text in texts]
    return {"Result": texts[0] if len(texts) == 1 else texts}


async def _job(server: Server, body: QuickBody) -> Job:
    tokenizer, wanted = server.loaded(), body.generate_kwargs
    text = (body.prefix or "") + body.prompt

    def encode() -> tuple[int, ...]:
        return tokenizer.chat([{"role": "user", "content": text}]) if tokenizer.chats else tokenizer.encode(text)

    prompt = await jobs.tokenize(len(text), encode)
    longest = wanted.max_new_tokens or wanted.max_length - len(prompt)
    if longest < 1:
        raise bad(
            "generate_kwargs.max_length",
            f"{wanted.max_length} counts prompt and answer, and the prompt has {len(prompt)} tokens; send more, "
            "or max_new_tokens, which counts the answer alone",
        )
    sampled = SamplingBody(
        model=body.model,
        temperature=wanted.temperature if wanted.do_sample else 0.0,
        top_k=wanted.top_k,
        top_p=wanted.top_p,
        repetition_penalty=wanted.repetition_penalty,
        seed=wanted.seed,
        n=wanted.num_return_sequences,
        min_tokens=max(0, wanted.min_length - len(prompt)),
        stop_token_ids=None if wanted.eos_token_id is None else [wanted.eos_token_id],
    )
    return jobs.job(server, sampled, f"chat-{uuid.uuid4().hex}", prompt, longest, None)


async def _texts(server: Server, job: Job) -> list[str]:
    texts = [""] * len(job.requests)
    async for piece in answer(server, [job], Usage()):
        texts[piece.index] += piece.text
    return texts
