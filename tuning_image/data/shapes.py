"""What a row says: a chat, a prompt and its completion, plain text, or a preference. Called by data.loading.

Every shape becomes an Example, so that what follows knows no column names.
"""

from dataclasses import dataclass
from typing import Any

from tuning_image.sections import DatasetSection

Messages = tuple[tuple[str, str], ...]  # (role, content)
ROLES = {"system", "user", "assistant", "tool"}
SHAREGPT = {"human": "user", "gpt": "assistant", "system": "system", "user": "user", "assistant": "assistant"}
SHAPES = "messages; prompt and completion; instruction (input) output; text; (prompt) chosen and rejected"


class RowError(ValueError):
    """The reason why a row cannot be used."""


@dataclass(frozen=True)
class Example:
    """One thing to learn. `parts` are (text, learned) pieces of a row without a chat; else `messages` is the chat."""

    messages: Messages = ()
    parts: tuple[tuple[str, bool], ...] = ()
    rejected: "Example | None" = None
    file: str = ""
    number: int = 0


def example(values: dict[str, Any], mapping: DatasetSection) -> Example:
    """A row's values → Example.

    Raises:
        RowError: With the reason.
    """
    if mapping.messages_column:
        return Example(messages=_chat(_column(values, mapping.messages_column)))
    if mapping.context_column and mapping.response_column:
        return _pair(_column(values, mapping.context_column), _column(values, mapping.response_column))
    if mapping.response_column:
        return _plain(_column(values, mapping.response_column))
    return _detected(values)


def _detected(values: dict[str, Any]) -> Example:
    if "chosen" in values and "rejected" in values:
        prompt = values.get("prompt")
        rejected = _answer(prompt, values["rejected"])
        chosen = _answer(prompt, values["chosen"])
        if chosen == rejected:
            raise RowError("chosen and rejected are the same")
        return Example(chosen.messages, chosen.parts, rejected)
    for name in ("messages", "conversations"):
        if name in values:
            return Example(messages=_chat(values[name]))
    if "prompt" in values and "completion" in values:
        return _answer(values["prompt"], values["completion"])
    if "instruction" in values and "output" in values:
        question = "\n\n".join(part for part in (values["instruction"], values.get("input")) if part)
        return _pair(question, values["output"])
    if "text" in values:
        return _plain(values["text"])
    raise RowError(f"has the columns {', '.join(values)}; known shapes: {SHAPES}; or map them in DatasetConfig")


def _column(values: dict[str, Any], name: str) -> Any:
    if name not in values:
        raise RowError(f"has no column {name}; it has {', '.join(values)}")
    return values[name]


def _answer(prompt: Any, answer: Any) -> Example:
    if isinstance(answer, list):
        return Example(messages=_chat([*(prompt or []), *answer] if isinstance(prompt or [], list) else answer))
    if prompt is None:
        return _plain(answer)
    return Example(parts=((_text(prompt, "prompt"), False), (_text(answer, "completion"), True)))


def _pair(question: Any, answer: Any) -> Example:
    return Example(messages=(("user", _text(question, "question")), ("assistant", _text(answer, "answer"))))


def _plain(text: Any) -> Example:
    return Example(parts=((_text(text, "text"), True),))


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise RowError(f"{name} is {type(value).__name__}, must be text")
    if not value.strip():
        raise RowError(f"{name} is empty")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise RowError(f"{name} holds half of a surrogate pair, which is no text; write it anew as UTF-8")
    return value


def _chat(value: Any) -> Messages:
    if not isinstance(value, list) or not value:
        raise RowError("messages is empty" if value == [] else f"messages is {type(value).__name__}, must be a list")
    chat = tuple(_message(index, item) for index, item in enumerate(value))
    if not any(role == "assistant" for role, _ in chat):
        raise RowError("messages has no assistant turn: there is nothing to learn")
    if any(role == "system" for role, _ in chat[1:]):
        raise RowError("messages has a system turn that is not the first")
    first = next(role for role, _ in chat if role != "system")
    if first != "user":
        raise RowError(f"messages begins with {first}, must begin with user (after an optional system turn)")
    return chat


def _message(index: int, item: Any) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise RowError(f"messages[{index}] is {type(item).__name__}, must be an object with role and content")
    role = item.get("role", SHAREGPT.get(str(item.get("from"))))
    if role not in ROLES:
        raise RowError(f"messages[{index}].role is {role!r}, must be one of {', '.join(sorted(ROLES))}")
    return str(role), _text(item.get("content", item.get("value")), f"messages[{index}].content")
