"""How models write tool calls, and how they are read. Called by tools.py; `--tool-call-parser` names one.

Source of the formats: the chat templates of the models, and the tool parsers of vLLM 0.11 of the same names.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = Mapping[str, Any]
Calls = list[tuple[str, Arguments]]
Properties = Mapping[str, Mapping[str, Any]]  # of each function: its parameters' schemas


@dataclass(frozen=True)
class Format:
    """One way to write calls.

    Attributes:
        begin: What a call begins with, one of these.
        end: What it ends with; "" where it goes on to the end of the answer.
        only_first: It counts at the beginning of the answer alone.
        read: From what is between the two to the calls; raises ValueError, KeyError or TypeError.
    """

    begin: tuple[str, ...]
    end: str
    read: Callable[[str, Properties], Calls]
    only_first: bool = False


def _hermes(text: str, _: Properties) -> Calls:
    """`{"name": ..., "arguments": {...}}` between tags."""
    return [_call(json.loads(text), "arguments")]


def _json_list(text: str, _: Properties) -> Calls:
    """`[{"name": ..., "arguments": {...}}]`, or one of its objects."""
    found = json.loads(text)
    return [_call(each, "arguments") for each in (found if isinstance(found, list) else [found])]


def _mistral(text: str, properties: Properties) -> Calls:
    """A list of objects, or from Mistral's 11th tokenizer on `NAME{...}` or `NAME[ARGS]{...}`, several in a row."""
    if text.lstrip().startswith(("[{", "{")):
        return _json_list(text, properties)
    parts = [part for part in text.split("[TOOL_CALLS]") if part.strip()]
    found = [re.fullmatch(r"\s*([\w.-]+)(?:\[ARGS\])?\s*(\{.*\})\s*", part, re.DOTALL) for part in parts]
    return [_call({"name": each[1], "arguments": json.loads(each[2])}, "arguments") for each in map(_present, found)]


def _llama3(text: str, _: Properties) -> Calls:
    """`{"name": ..., "parameters": {...}}`, several with ";" between."""
    decoder, place, calls = json.JSONDecoder(), 0, []
    text = text.strip()
    while place < len(text):
        found, place = decoder.raw_decode(text, place)
        calls.append(_call(found, "parameters" if "parameters" in found else "arguments"))
        rest = text[place:].lstrip("; \n")
        place = len(text) - len(rest)
    return calls


def _qwen3_coder(text: str, properties: Properties) -> Calls:
    """`<function=NAME><parameter=KEY>VALUE</parameter></function>` between tags."""
    found = _present(re.fullmatch(r"\s*<function=([^>]+)>(.*?)</function>\s*", text, re.DOTALL))
    kinds = properties.get(found[1], {})
    pairs = re.findall(r"<parameter=([^>]+)>\n?(.*?)\n?</parameter>", found[2], re.DOTALL)
    return [(found[1], {key: _typed(value, kinds.get(key, {})) for key, value in pairs})]


def _deepseek_v3(text: str, _: Properties) -> Calls:
    """`function<｜tool▁sep｜>NAME` and the arguments as a block of JSON, between marks; several in a row."""
    pattern = r"<｜tool▁call▁begin｜>function<｜tool▁sep｜>([\w.-]+)\s*```json\s*(.*?)\s*```\s*<｜tool▁call▁end｜>\s*"
    _present(re.fullmatch(rf"\s*({pattern})+", text, re.DOTALL))
    found = re.findall(pattern, text, re.DOTALL)
    return [_call({"name": name, "arguments": json.loads(given)}, "arguments") for name, given in found]


def _functiongemma(text: str, _: Properties) -> Calls:
    """`call:NAME{KEY:VALUE,...}`: JSON with bare keys, and strings between `<escape>` marks."""
    found = _present(re.fullmatch(r"\s*call:([\w.-]+)(\{.*\})\s*", text, re.DOTALL))
    parts = found[2].split("<escape>")  # every second one is a string
    parts[::2] = [re.sub(r"([\w.-]+)\s*:", r'"\1":', part) for part in parts[::2]]
    parts[1::2] = [json.dumps(part) for part in parts[1::2]]
    return [_call({"name": found[1], "arguments": json.loads("".join(parts))}, "arguments")]


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    return text if schema.get("type", "string") == "string" else json.loads(text)


def _call(found: Mapping[str, Any], arguments: str) -> tuple[str, Arguments]:
    given = found.get(arguments, {})
    if not isinstance(given, dict) or not isinstance(found["name"], str):
        raise TypeError("a call needs a name and arguments")
    return found["name"], given


def _present(found: re.Match[str] | None) -> re.Match[str]:
    if not found:
        raise ValueError("is no call")
    return found


_TAGS = (("<tool_call>",), "</tool_call>")
FORMATS = {
    "hermes": Format(*_TAGS, _hermes),
    "granite4": Format(*_TAGS, _hermes),
    "qwen3_coder": Format(*_TAGS, _qwen3_coder),
    "deepseek_v3": Format(("<｜tool▁calls▁begin｜>",), "<｜tool▁calls▁end｜>", _deepseek_v3),
    "functiongemma": Format(("<start_function_call>",), "<end_function_call>", _functiongemma),
    "mistral": Format(("[TOOL_CALLS]",), "", _mistral),
    "llama3_json": Format(("<|python_tag|>", '{"name"', '{ "name"', '{"type"', "{\n"), "", _llama3, only_first=True),
    "phi4_mini_json": Format(("functools",), "", _json_list, only_first=True),
}
