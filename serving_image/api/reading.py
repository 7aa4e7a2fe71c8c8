"""What an answer is made of: reasoning, text and calls, told apart while it comes. Called by the routes of chats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serving_image.api.channels import Channels
from serving_image.api.reasoning import BEGIN, END, TAGGED, Plain, Splitter, Tags
from serving_image.api.schema import ChatBody
from serving_image.api.state import Server
from serving_image.api.tools import CHANNELS, Reader, Wanted

TAIL_TOKENS = 16  # of a prompt, enough for the tag that a chat template writes at its end


@dataclass(frozen=True)
class Piece:
    """What is new of an answer."""

    reasoning: str = ""
    text: str = ""
    calls: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Form:
    """How the answers of one chat are read.

    Attributes:
        wanted: The tools.
        kind: Of reasoning: "channels", "tags", "begun" for tags of which the prompt has the first, or "".
        shown: Reasoning is sent to the client.
    """

    wanted: Wanted
    kind: str = ""
    shown: bool = True

    @property
    def is_in_special_tokens(self) -> bool:
        """They must not be left out of the text that is read."""
        return self.wanted.format is not None or self.kind == "channels"

    def answer(self) -> "Answer":
        """A reader of one answer."""
        splitter: Splitter = Plain()
        if self.kind == "channels":
            splitter = Channels()
        elif self.kind:
            splitter = Tags(begun=self.kind == "begun")
        return Answer(Reader(self.wanted), splitter, shown=self.shown)


def form_of(server: Server, body: ChatBody, wanted: Wanted, prompt: Sequence[int], *, constrained: bool) -> Form:
    """How the answers to this prompt are read. A grammar holds from the first token on, which leaves no reasoning."""
    parser = server.settings.reasoning_parser
    kind = ""
    if not constrained and CHANNELS in (server.settings.tool_call_parser, parser.removesuffix("_gptoss")):
        kind = "channels"
    elif not constrained and parser in TAGGED:
        kind = "begun" if _has_begun(server, body, prompt) else "tags"
    return Form(wanted, kind, body.include_reasoning)


def _has_begun(server: Server, body: ChatBody, prompt: Sequence[int]) -> bool:
    """The prompt ends inside of reasoning: the template has begun it, or the turn that is to go on."""
    if body.continue_final_message:
        last = str(body.messages[-1].plain()["content"])
        return last.rfind(BEGIN) > last.rfind(END)
    return server.loaded().decode(prompt[-TAIL_TOKENS:], False).rstrip().endswith(BEGIN)


class Answer:
    """Reads one answer while it comes."""

    def __init__(self, reader: Reader, splitter: Splitter, *, shown: bool) -> None:
        self._reader = reader
        self._splitter = splitter
        self._shown = shown
        self.reasoning_tokens = 0

    def push(self, text: str, tokens: int, *, last: bool) -> Piece:
        """What may go out of a text of so many tokens; with `last` nothing is held back."""
        split = self._splitter.push(text, last=last)
        if split.reasoning:
            self.reasoning_tokens += tokens
        rest, calls = self._reader.push(split.text, last=last)
        told, more = self._reader.told(split.calls)
        return Piece(split.reasoning if self._shown else "", rest + told, [*calls, *more])

    def finish(self, reason: str | None) -> str | None:
        """OpenAI's reason for an answer with calls."""
        return self._reader.finish(reason)
