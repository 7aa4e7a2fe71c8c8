"""gpt-oss's way to write an answer: messages on channels, for reasoning, calls and what the user reads.

Called by reading.py. Source: OpenAI's harmony response format (cookbook.openai.com/articles/openai-harmony).
"""

import re

from serving_image.api.reasoning import Split
from serving_image.api.tools import held_back

MESSAGE, CHANNEL = "<|message|>", "<|channel|>"
ENDS = ("<|end|>", "<|return|>", "<|call|>", "<|start|>")
FUNCTIONS = "functions."


class Channels:
    """Reads one answer. A message is a head, `<|message|>`, a body and an end; a head names channel and recipient."""

    def __init__(self) -> None:
        self._held = ""
        self._head: str | None = None  # of the message whose body comes; None between two messages

    def push(self, text: str, *, last: bool) -> Split:
        """What may go out; with `last` nothing is held back."""
        self._held += text
        reasoning, answer = "", ""
        calls: list[tuple[str, str]] = []
        while (step := self._step(last=last)) is not None:
            reasoning += step.reasoning
            answer += step.text
            calls += step.calls
        return Split(reasoning, answer, tuple(calls))

    def _step(self, *, last: bool) -> Split | None:
        """The next head or a piece of a body; None where more must come first."""
        if self._head is not None:
            return self._body(self._head, last=last)
        head, found, rest = self._held.partition(MESSAGE)
        if found:
            self._head, self._held = head, rest
            return Split()
        if not last or not head:
            return None
        self._held = ""
        return Split(text="" if CHANNEL in head or head.startswith(ENDS) else head)  # a head cut short is no answer

    def _body(self, head: str, *, last: bool) -> Split | None:
        ends = [place for end in ENDS if (place := self._held.find(end)) >= 0]
        recipient = re.search(rf"\bto={re.escape(FUNCTIONS)}([\w.-]+)", head)
        if ends:
            return self._as(head, recipient, self._end(min(ends)))
        if last:
            self._head = None
            return self._as(head, recipient, self._take(len(self._held)))
        length = 0 if recipient else len(self._held) - held_back(self._held, ENDS)
        return self._as(head, None, self._take(length)) if length else None

    @staticmethod
    def _as(head: str, recipient: re.Match[str] | None, body: str) -> Split:
        if recipient:
            return Split(calls=((recipient[1], body),))
        return Split(reasoning=body) if f"{CHANNEL}analysis" in head else Split(text=body)

    def _end(self, place: int) -> str:
        """The rest of the body; what follows its end is the next message's."""
        body, rest = self._take(place), self._held
        self._head = None
        self._held = rest[len(next(end for end in ENDS if rest.startswith(end))) :]
        return body

    def _take(self, length: int) -> str:
        out, self._held = self._held[:length], self._held[length:]
        return out
