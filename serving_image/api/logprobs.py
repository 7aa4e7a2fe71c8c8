"""Log probabilities in OpenAI's two shapes. Called by the routes of chats and completions."""

from collections.abc import Sequence
from typing import Any

from serving_image.api.tokenizer import Tokenizer
from serving_image.requests import Token

LOWEST = -9999.0  # JSON has no minus infinity


def chat(tokenizer: Tokenizer, tokens: Sequence[Token]) -> dict[str, Any]:
    """The shape of chats: one object a token."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        text = tokenizer.decode([token], False)
        return {"token": text, "logprob": max(logprob, LOWEST), "bytes": list(text.encode())}

    return {
        "content": [
            {
                **entry(token.id, token.logprob or 0.0),
                "top_logprobs": [entry(each, value) for each, value in token.alternatives],
            }
            for token in tokens
        ],
        "refusal": None,
    }


def completion(tokenizer: Tokenizer, tokens: Sequence[Token], offset: int) -> dict[str, Any]:
    """The shape of completions: parallel lists."""
    texts = [tokenizer.decode([token.id], False) for token in tokens]
    offsets = []
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": texts,
        "token_logprobs": [max(token.logprob or 0.0, LOWEST) for token in tokens],
        "top_logprobs": [
            {tokenizer.decode([each], False): max(value, LOWEST) for each, value in token.alternatives}
            for token in tokens
        ],
        "text_offset": offsets,
    }
