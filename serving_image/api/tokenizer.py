"""The model's tokenizer and chat template. Called by the routes; transformers is imported when it is loaded."""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving_image.api.refusals import Refusal, bad
from serving_image.requests import Sampling
from serving_image.source import Source


@dataclass(frozen=True)
class Tokenizer:
    """Text to tokens and back."""

    inner: Any
    template: str | None  # in place of the model's own
    stop_tokens: frozenset[int]
    defaults: Sampling

    def encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Tokens of a text."""
        return tuple(self.inner(text, add_special_tokens=special)["input_ids"])

    def decode(self, tokens: Sequence[int], skip_special: bool) -> str:
        """Text of tokens, spaces as they are: twice a token, so past transformers' own wrapping where there is one."""
        fast = getattr(self.inner, "backend_tokenizer", None)
        if fast is not None:
            text: str = fast.decode(list(tokens), skip_special_tokens=skip_special)
            return text
        return self.inner.decode(list(tokens), skip_special_tokens=skip_special, clean_up_tokenization_spaces=False)

    @property
    def chats(self) -> bool:
        """There is a chat template."""
        return bool(self.template or self.inner.chat_template)

    def knows_tools(self, template: str | None) -> bool:
        """The chat template writes them into the prompt."""
        return self.names("tools", template)

    def names(self, word: str, template: str | None) -> bool:
        """The chat template has this word."""
        chosen = template or self.template or self.inner.chat_template
        texts = chosen.values() if isinstance(chosen, dict) else [chosen or ""]
        return any(word in text for text in texts)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        template: str | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        """Tokens of a conversation. A `developer` is the `system` where the template does not name that role.

        Raises:
            Refusal: The template refuses the conversation, or there is none.
        """
        if not (template or self.chats):
            message = "this model has no chat template; send chat_template, or use /v1/completions"
            raise bad("messages", message)
        if any(each.get("tool_calls") for each in messages) and not self.names("tool_calls", template):
            raise bad("messages", "this chat template leaves tool_calls out; send a chat_template that has them")
        if not self.names("developer", template):
            messages = [{**each, "role": "system"} if each["role"] == "developer" else each for each in messages]
        render = functools.partial(
            self.inner.apply_chat_template,
            tools=tools,
            chat_template=template or self.template,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=continue_final_message,
            tokenize=False,
            **(variables or {}),
        )
        return self.encode(_rendered(render, messages), special=False)


def _rendered(render: Callable[[list[Mapping[str, Any]]], str], messages: Sequence[Mapping[str, Any]]) -> str:
    """What the template makes of the conversation, or of the first form of it that it does not refuse."""
    problem: Exception | None = None
    for form in _forms(messages):
        try:
            return render(form)
        except Exception as error:  # templates raise what they like
            problem = problem or error
    raise Refusal(400, f"messages: the chat template refuses them: {problem}", param="messages")


def _forms(messages: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """The conversation as it is, and in ways that say the same to templates that do not know that form."""
    first, *rest = messages
    whole = [list(messages)]
    if first["role"] in ("system", "developer") and rest and rest[0]["role"] == "user":
        # no system role: what it would say stands before the user's first words
        whole.append([{**rest[0], "content": f"{first['content']}\n\n{rest[0]['content']}"}, *rest[1:]])
    for form in whole:
        yield form
        if any(each.get("tool_calls") for each in form):
            yield [_with_texts(each) for each in form]


def _with_texts(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same turn, with the arguments of its calls as JSON: DeepSeek's templates take no objects."""
    calls = [{**each, "function": dict(each["function"])} for each in message.get("tool_calls", ())]
    for call in calls:
        if not isinstance(call["function"]["arguments"], str):
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    return {**message, "tool_calls": calls} if calls else message


def load(source: Source, template: Path | None) -> Tokenizer:
    """From the model's files."""
    from transformers import AutoTokenizer

    inner = AutoTokenizer.from_pretrained(source.folder, **source.loading)
    config = _generation_config(source.folder)
    ends = config.get("eos_token_id", inner.eos_token_id)
    ends = [ends] if isinstance(ends, int) else list(ends or [])
    sampled = config.get("do_sample", True)
    defaults = Sampling(
        temperature=config.get("temperature", 1.0) if sampled else 1.0,
        top_p=config.get("top_p", 1.0) if sampled else 1.0,
        top_k=config.get("top_k", 0) if sampled else 0,
        repetition_penalty=config.get("repetition_penalty", 1.0),
    )
    stops = frozenset({*ends, *([inner.eos_token_id] if inner.eos_token_id is not None else [])})
    return Tokenizer(inner, template.read_text() if template else None, stops, defaults)


def _generation_config(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    config: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return {name: value for name, value in config.items() if value is not None}
