"""Which tokens a grammar allows next. Called by the engine's process, which compiles beside its steps."""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import llguidance.hf
import llguidance.numpy as masks
import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from transformers import AutoTokenizer

from serving_image.errors import EngineError
from serving_image.source import Source


class Matcher:
    """The state of one answer under its grammar."""

    def __init__(self, tokenizer: LLTokenizer, grammar: str) -> None:
        self._matcher = LLMatcher(tokenizer, grammar)
        self._mask = masks.allocate_token_bitmask(1, tokenizer.vocab_size)
        self._check()

    def mask(self, logits: torch.Tensor) -> None:
        """Set what is not allowed to minus infinity, in place; logits of shape (V,).

        Not by llguidance.torch, which compiles for it with a C++ compiler that the image does not have.
        """
        masks.fill_next_token_bitmask(self._matcher, self._mask, 0)
        self._check()
        allowed = np.zeros(len(logits), dtype=bool)  # a model may have more logits than its tokenizer has tokens
        bits = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: len(logits)]
        allowed[: len(bits)] = bits
        logits.masked_fill_(~torch.from_numpy(allowed).to(logits.device), float("-inf"))

    def accept(self, token: int) -> bool:
        """Go on; False where the answer is complete."""
        self._matcher.consume_token(token)
        self._check()
        return not self._matcher.is_stopped()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(f"the grammar cannot be followed: {self._matcher.get_error()}")


class Grammars:
    """Compiles grammars in a thread, so that nobody else's tokens wait."""

    def __init__(self, source: Source, vocabulary: int) -> None:
        self._source = source
        self._vocabulary = vocabulary
        self._tokenizer: LLTokenizer | None = None
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(1, "grammar")

    def compile(self, grammar: str) -> "Future[Matcher]":
        """Begin; the result raises EngineError for a grammar that cannot be."""
        return self._threads.submit(lambda: Matcher(self._ready(), grammar))

    def _ready(self) -> LLTokenizer:
        with self._lock:
            if self._tokenizer is None:
                inner = AutoTokenizer.from_pretrained(self._source.folder, **self._source.loading)
                self._tokenizer = llguidance.hf.from_tokenizer(inner, self._vocabulary)
            return self._tokenizer
