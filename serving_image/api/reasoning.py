"""Where the reasoning of a model ends and its answer begins, found while the text comes. Called by reading.py.

`--reasoning-parser` names how the model writes it. Source of the formats: the models' chat templates, and the reasoning
parsers of vLLM of the same names; unlike those, a text in which no reasoning begins is the answer.
"""

from dataclasses import dataclass
from typing import Protocol

from serving_image.api.tools import held_back

BEGIN, END = "<think>", "</think>"
TAGGED = ("deepseek_r1", "deepseek_v3", "qwen3")  # those that write it between these tags


@dataclass(frozen=True)
class Split:
    """What of a text is reasoning, what answer, and which calls (name, arguments) the format itself has told apart."""

    reasoning: str = ""
    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()


class Splitter(Protocol):
    """Splits one answer while it comes."""

    def push(self, text: str, *, last: bool) -> Split:
        """What may go out; with `last` nothing is held back."""


class Plain:
    """All of it is the answer."""

    def push(self, text: str, *, last: bool) -> Split:
        """The text as it is."""
        return Split(text=text)


class Tags:
    """`<think>...</think>` before the answer; `begun` where the prompt has written the first tag."""

    def __init__(self, *, begun: bool) -> None:
        self._place = "inside" if begun else "before"
        self._held = ""
        self._fresh = begun  # blank so far, since a tag

    def push(self, text: str, *, last: bool) -> Split:
        """What may go out; with `last` nothing is held back."""
        self._held += text
        if self._place == "before":
            self._enter(last=last)
        reasoning = self._inside(last=last) if self._place == "inside" else ""
        answer = self._take(len(self._held)) if self._place == "after" else ""
        return Split(reasoning, answer)

    def _enter(self, *, last: bool) -> None:
        rest = self._held.lstrip()
        if rest.startswith(BEGIN):
            self._place, self._held, self._fresh = "inside", rest.removeprefix(BEGIN), True
        elif last or not BEGIN.startswith(rest):
            self._place = "after"

    def _inside(self, *, last: bool) -> str:
        place = self._held.find(END)
        if place < 0:
            return self._take(len(self._held) - (0 if last else held_back(self._held, (END,))))
        reasoning = self._take(place)
        self._place, self._held, self._fresh = "after", self._held.removeprefix(END), True
        return reasoning

    def _take(self, length: int) -> str:
        """So much of what is held, without the blanks behind a tag."""
        out, self._held = self._held[:length], self._held[length:]
        if self._fresh:
            out = out.lstrip()
            self._fresh = not out
        return out
