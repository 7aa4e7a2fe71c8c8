"""The items of a response while they are made: each change is an event of OpenAI's stream. Called by responses.py."""

import uuid
from collections.abc import Sequence
from typing import Any

Event = dict[str, Any]
Logprobs = list[dict[str, Any]]  # one a token


class Output:
    """Messages and calls, in the order of the answer. `items` is what the response has as `output`."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self._message: dict[str, Any] | None = None  # the one that is open, which is the last item
        self._logprobs: Logprobs = []  # of text that is held back

    def add(self, text: str, calls: Sequence[dict[str, Any]], logprobs: Logprobs) -> list[Event]:
        """What a step of the answer changes."""
        self._logprobs += logprobs
        events = self._text(text) if text else []
        for call in calls:
            events += self._close("completed") + self._call(call["id"], call["function"])
        if calls:
            self._logprobs = []  # of the calls' own tokens
        return events

    def end(self, status: str) -> list[Event]:
        """The last changes; an answer without anything is an empty message."""
        events = [] if self.items else self._open()
        return events + self._close(status)

    def _text(self, text: str) -> list[Event]:
        events = [] if self._message else self._open()
        assert self._message
        logprobs, self._logprobs = self._logprobs, []
        part = self._message["content"][0]
        part["text"] += text
        part["logprobs"] += logprobs
        return [*events, self._event("output_text.delta", content_index=0, delta=text, logprobs=logprobs)]

    def _open(self) -> list[Event]:
        added = self._add_item({"type": "message", "id": _new("msg"), "role": "assistant", "content": []})
        self._message = self.items[-1]
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self._message["content"] = [part]
        return [added, self._event("content_part.added", content_index=0, part={**part, "logprobs": []})]

    def _close(self, status: str) -> list[Event]:
        if self._message is None:
            return []
        part = self._message["content"][0]
        self._message["status"] = status
        self._message = None
        text = {"text": part["text"], "logprobs": part["logprobs"]}
        return [
            self._event("output_text.done", content_index=0, **text),
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


def _new(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
