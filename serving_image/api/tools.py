"""Tools of a chat: what the model is told of them, what is forced, and the calls in its answer. Called by chats.py.

A call that is forced (tool_choice "required" or a name) is JSON under a grammar, so it works with any model whose
template knows tools. A call that is the model's own choice is read in the model's format, --tool-call-parser.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving_image.api.refusals import bad
from serving_image.api.schema import ChatBody, NamedTool
from serving_image.api.state import Server
from serving_image.api.tool_formats import FORMATS, Calls, Format

ANY: Mapping[str, Any] = {"type": "object"}
CHANNELS = "openai"  # the format in which the channel of a message tells calls from text: channels.py
COMPACT = {"x-guidance": {"whitespace_flexible": False}}  # llguidance: no room to write blanks without end


@dataclass(frozen=True)
class Wanted:
    """What a body asks for.

    Attributes:
        described: For the chat template; None where nothing may be called.
        schema: Of the whole answer, where a call is forced.
        format: How calls are found in the text of a free answer.
        parameters: Schema of each function's arguments.
        named: The one function that is forced.
        single: At most one call.
    """

    described: list[dict[str, Any]] | None = None
    schema: dict[str, Any] | None = None
    format: Format | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    named: str = ""
    single: bool = False


def wanted(server: Server, body: ChatBody) -> Wanted:
    """What the body asks for.

    Raises:
        Refusal: 400, where it cannot be had here.
    """
    choice = body.tool_choice or ("auto" if body.tools else "none")
    if choice == "none":
        return Wanted()
    if not body.tools:
        raise bad("tool_choice", "needs tools")
    if not server.loaded().knows_tools(server.template(body.model, body.chat_template)):
        raise bad("tools", "this model's chat template does not know them; start with --chat-template, or send one")
    parameters = {tool.function.name: tool.function.parameters or ANY for tool in body.tools}
    described = [tool.model_dump(exclude_none=True) for tool in body.tools]
    single = not body.parallel_tool_calls
    if choice == "auto":
        name = server.settings.tool_call_parser
        if name == "none":
            raise bad("tool_choice", 'auto needs --tool-call-parser at the start; "required" or a name does not')
        return Wanted(described, None, FORMATS.get(name), parameters, single=single)
    if isinstance(choice, NamedTool):
        named = choice.function.name
        if named not in parameters:
            raise bad("tool_choice", f"{named!r} is none of the tools: {', '.join(parameters)}")
        return Wanted(described, _closed(parameters[named]) | COMPACT, None, parameters, named)
    return Wanted(described, _calls_schema(parameters, single), None, parameters, single=single)


def _calls_schema(parameters: Mapping[str, Mapping[str, Any]], single: bool) -> dict[str, Any]:
    """A list of calls."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, "arguments": _closed(schema)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for name, schema in parameters.items()
    ]
    most = {"maxItems": 1} if single else {}
    return {"type": "array", "minItems": 1, "items": {"anyOf": calls}, **most, **COMPACT}


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Without arguments that the schema does not name, unless it says that there may be some."""
    return {"additionalProperties": False, **schema} if "properties" in schema else dict(schema)


class Reader:
    """Separates one answer into text and calls while it comes; a call goes out when it is complete."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._held = ""
        self._begun = False  # text of the answer has gone out
        self._count = 0

    def push(self, text: str, *, last: bool) -> tuple[str, list[dict[str, Any]]]:
        """(text, calls) that may go out; with `last` nothing is held back."""
        if self._wanted.schema is None and self._wanted.format is None:
            return text, []
        self._held += text
        if self._wanted.schema is not None:
            return self._forced() if last else ("", [])
        out, calls = "", []
        while (step := self._free(last)) is not None:
            out += step[0]
            calls += step[1]
        return out, calls

    def told(self, calls: Sequence[tuple[str, str]]) -> tuple[str, list[dict[str, Any]]]:
        """(text, calls) of what the answer's format has told apart as calls: name and arguments."""
        text, found = "", []
        for name, arguments in calls:
            try:
                given = json.loads(arguments)
            except ValueError:
                given = None
            if isinstance(given, dict) and name in self._wanted.parameters:
                found += self._numbered([(name, given)])
            else:
                text += arguments
        return text, found

    def finish(self, reason: str | None) -> str | None:
        """OpenAI's reason for an answer with calls."""
        return "tool_calls" if self._count and reason == "stop" else reason

    def _forced(self) -> tuple[str, list[dict[str, Any]]]:
        try:
            found = json.loads(self._held)
        except ValueError:
            return self._held, []  # cut by max_tokens: what there is, as text
        if self._wanted.named:
            return "", self._numbered([(self._wanted.named, found)])
        return "", self._numbered([(call["name"], call["arguments"]) for call in found])

    def _free(self, last: bool) -> tuple[str, list[dict[str, Any]]] | None:
        """The next text or call; None where more must come first."""
        form, held = self._wanted.format, self._held
        assert form
        if not held:
            return None
        place = _begin(form, held, self._begun)
        if place is None:
            keep = 0 if last else _may_begin(form, held, self._begun)
            return self._text(len(held) - keep) if keep < len(held) else None
        if place:
            return self._text(place)
        end = held.find(form.end) if form.end else (len(held) if last else -1)
        if end < 0:
            return self._text(len(held)) if last else None
        body, self._held = held[:end], held[end + len(form.end) :]
        return self._read(form, body, form.end)

    def _read(self, form: Format, body: str, end: str) -> tuple[str, list[dict[str, Any]]]:
        begin = next(each for each in form.begin if body.startswith(each))
        try:
            calls = form.read(body if begin.startswith("{") else body[len(begin) :], self._kinds())
        except (ValueError, KeyError, TypeError):
            calls = []
        if not calls or any(name not in self._wanted.parameters for name, _ in calls):
            self._begun = True
            return body + end, []  # no call: the model's text as it is
        return "", self._numbered(calls)

    def _text(self, length: int) -> tuple[str, list[dict[str, Any]]]:
        out, self._held = self._held[:length], self._held[length:]
        self._begun = self._begun or bool(out.strip())
        return out, []

    def _kinds(self) -> dict[str, Mapping[str, Any]]:
        return {name: schema.get("properties", {}) for name, schema in self._wanted.parameters.items()}

    def _numbered(self, calls: Calls) -> list[dict[str, Any]]:
        free = 1 - self._count if self._wanted.single else len(calls)
        made = [
            {
                "index": self._count + index,
                "id": f"call_{uuid.uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
            }
            for index, (name, arguments) in enumerate(calls[: max(0, free)])
        ]
        self._count += len(made)
        return made


def _begin(form: Format, text: str, begun: bool) -> int | None:
    """Where a call begins."""
    if form.only_first:
        space = len(text) - len(text.lstrip())
        return space if not begun and text[space:].startswith(form.begin) else None
    return min((text.find(each) for each in form.begin if each in text), default=None)


def _may_begin(form: Format, text: str, begun: bool) -> int:
    """How many characters at the end may become the beginning of a call."""
    if form.only_first:
        rest = text.lstrip()
        return len(text) if not begun and any(each.startswith(rest) for each in form.begin) else 0
    return held_back(text, form.begin)


def held_back(text: str, marks: Sequence[str]) -> int:
    """How many characters at the end of a text may become the beginning of one of the marks."""
    longest = max(len(each) for each in marks) - 1
    lengths = range(min(longest, len(text)), 0, -1)
    return next((length for length in lengths if any(each.startswith(text[-length:]) for each in marks)), 0)
