"""The items of a response while they are made: each change is an event of OpenAI's stream. Called by responses.py."""

import uuid
from typing import Any

from serving_image.api.reading import Piece

Event = dict[str, Any]
Logprobs = list[dict[str, Any]]  # one a token
PREFIXES = {"message": "msg", "reasoning": "rs"}  # of ids


class Output:
    """Reasoning, messages and calls, in the order of the answer. `items` is what the response has as `output`."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None  # the item of text that goes on, which is the last one
        self._logprobs: Logprobs = []  # of text that is held back

    def add(self, piece: Piece, logprobs: Logprobs) -> list[Event]:
        """What a step of the answer changes."""
        self._logprobs += logprobs
        events = self._text("reasoning", piece.reasoning) if piece.reasoning else []
        if piece.text:
            events += self._text("message", piece.text)
        for call in piece.calls:
            events += self._close("completed") + self._call(call["id"], call["function"])
        if piece.calls:
            self._logprobs = []  # of the calls' own tokens
        return events

    def end(self, status: str) -> list[Event]:
        """The last changes; an answer without anything is an empty message."""
        events = [] if self.items else self._begin("message")
        return events + self._close(status)

    def _text(self, kind: str, text: str) -> list[Event]:
        events = [] if self._open and self._open["type"] == kind else self._close("completed") + self._begin(kind)
        assert self._open
        logprobs, self._logprobs = self._logprobs, []
        part = self._open["content"][0]
        part["text"] += text
        if kind == "reasoning":
            return [*events, self._event("reasoning_text.delta", content_index=0, delta=text)]
        part["logprobs"] += logprobs
        return [*events, self._event("output_text.delta", content_index=0, delta=text, logprobs=logprobs)]

    def _begin(self, kind: str) -> list[Event]:
        more: dict[str, Any] = {"role": "assistant"} if kind == "message" else {"summary": []}
        added = self._add_item({"type": kind, "id": _new(PREFIXES[kind]), **more, "content": []})
        self._open = self.items[-1]
        self._open["content"] = [_part(kind)]
        return [added, self._event("content_part.added", content_index=0, part=_part(kind))]

    def _close(self, status: str) -> list[Event]:
        if self._open is None:
            return []
        part, kind = self._open["content"][0], self._open["type"]
        self._open["status"] = status
        self._open = None
        told = {name: part[name] for name in ("text", "logprobs") if name in part}
        return [
            self._event("reasoning_text.done" if kind == "reasoning" else "output_text.done", content_index=0, **told),
            self._event("content_part.done", content_index=0, part=part),
            self._done(),
        ]

    def _call(self, call_id: str, function: dict[str, str]) -> list[Event]:
        arguments = function["arguments"]
        call = {"type": "function_call", "id": _new("fc"), "call_id": call_id, "name": function["name"]}
        added = self._add_item({**call, "arguments": ""})
        self.items[-1] |= {"arguments": arguments, "status": "completed"}
        return [
            added,
            self._event("function_call_arguments.delta", delta=arguments),
            self._event("function_call_arguments.done", arguments=arguments, name=function["name"]),
            self._done(),
        ]

    def _add_item(self, item: dict[str, Any]) -> Event:
        self.items.append({**item, "status": "in_progress"})
        return {"type": "response.output_item.added", "output_index": len(self.items) - 1, "item": {**self.items[-1]}}

    def _done(self) -> Event:
        return {"type": "response.output_item.done", "output_index": len(self.items) - 1, "item": {**self.items[-1]}}

    def _event(self, kind: str, **fields: Any) -> Event:
        place = {"item_id": self.items[-1]["id"], "output_index": len(self.items) - 1}
        return {"type": f"response.{kind}", **place, **fields}


def _part(kind: str) -> dict[str, Any]:
    """The one part of an item of text, empty."""
    if kind == "reasoning":
        return {"type": "reasoning_text", "text": ""}
    return {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


def _new(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
