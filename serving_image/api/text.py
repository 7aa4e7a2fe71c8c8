"""Tokens to text as they come: whole characters only, and nothing of a stop string. Called by answers.py."""

from collections.abc import Sequence
from typing import Protocol

INCOMPLETE = "\ufffd"  # what a decoder writes for the bytes of a character that is not complete
LONGEST_CHARACTER = 4  # tokens; after that the bytes are wrong, not incomplete


class Decoder(Protocol):
    """What is needed of a tokenizer."""

    def decode(self, tokens: Sequence[int], skip_special: bool) -> str:
        """Tokens to text."""


class Detokenizer:
    """Turns one answer's tokens into text, piece by piece."""

    def __init__(self, decoder: Decoder, skip_special: bool) -> None:
        self._decoder = decoder
        self._skip_special = skip_special
        self._tokens: list[int] = []
        self._start = 0  # decoding begins here, for the spaces that depend on a neighbour
        self._given = 0  # tokens whose text is out

    def push(self, tokens: Sequence[int], *, last: bool = False) -> str:
        """The text that is now complete; with `last`, whatever is left."""
        self._tokens += tokens
        before = self._decode(self._start, self._given)
        now = self._decode(self._start, len(self._tokens))
        waiting = now.endswith(INCOMPLETE) and len(self._tokens) - self._given <= LONGEST_CHARACTER
        if waiting and not last:
            return ""
        self._start, self._given = self._given, len(self._tokens)
        return now[len(before) :]

    def _decode(self, start: int, end: int) -> str:
        return self._decoder.decode(self._tokens[start:end], self._skip_special)


class Stops:
    """Holds back what may become a stop string, and ends the text where one is complete."""

    def __init__(self, stops: Sequence[str], include: bool) -> None:
        self._stops = [stop for stop in stops if stop]
        self._include = include
        self._held = ""
        self.found: str | None = None

    def push(self, text: str, *, last: bool = False) -> str:
        """The text that may go out."""
        self._held += text
        matches = [(self._held.find(stop), stop) for stop in self._stops if stop in self._held]
        if matches:
            place, self.found = min(matches)
            return self._held[: place + (len(self.found) if self._include else 0)]
        held = 0 if last else self._hold()
        out = self._held[: len(self._held) - held]
        self._held = self._held[len(out) :]
        return out

    def _hold(self) -> int:
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
