"""Values as a Python program writes them. Called by convert."""

import itertools
import json
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Named = TypeVar("Named", bound=tuple[str, ...])


class Code(str):
    """What stands in the program as it is."""


def literal(value: Any, depth: int) -> str:
    """A value as Python writes it, one entry a line."""
    inner, outer = "    " * (depth + 1), "    " * depth
    if isinstance(value, Mapping) and value:
        entries = (f"{inner}{text(key)}: {literal(item, depth + 1)},\n" for key, item in value.items())
        return f"{{\n{''.join(entries)}{outer}}}"
    if isinstance(value, list | tuple) and value:
        return f"[\n{''.join(f'{inner}{literal(item, depth + 1)},{chr(10)}' for item in value)}{outer}]"
    return text(value) if isinstance(value, str) and not isinstance(value, Code) else str(value)


def text(value: str) -> str:
    """A string in double quotes; what JSON writes is Python, too."""
    return json.dumps(value, ensure_ascii=False)


def variables(names: Iterable[Named]) -> dict[Named, str]:
    """A variable for each of these names, no two the same."""
    taken = {"cluster", "config", "pulumi", "pulumi_kubernetes"}
    return unique([(name, _identifier("-".join(name))) for name in names], "_", taken)


def _identifier(name: str) -> str:
    word = re.sub(r"\W", "_", name)
    word = f"_{word}" if word[0].isdigit() else word
    return f"{word}_" if keyword.iskeyword(word) else word


def unique(wanted: Iterable[tuple[Named, str]], joint: str, taken: Iterable[str] = ()) -> dict[Named, str]:
    """What each wants to be called, with a number behind it where another one is called so."""
    found: dict[Named, str] = {}
    for key, name in wanted:
        used = {*taken, *found.values()}
        numbered = (f"{name}{joint}{number}" for number in itertools.count(2))
        found[key] = next(one for one in itertools.chain([name], numbered) if one not in used)
    return found
