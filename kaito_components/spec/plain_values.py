"""Parsed values (configuration, Python args) -> a document of what JSON has. Called by reader and from_args."""

from collections.abc import Iterator, Mapping
from typing import Any

from kaito_components.errors import Finding
from kaito_components.spec.composing import MAX_DEPTH, MAX_VALUES, below
from kaito_components.spec.document import Document

_BITS_64 = 2**64


def from_values(value: Any, file: str) -> tuple[Document, list[Finding]]:
    """A document of these values, and what of them Kubernetes cannot have."""
    walk = _Walk()
    document = Document(file, walk.plain(value, "", 0))
    return document, [document.error(code, path, message) for code, path, message in walk.problems]


class _Walk:
    """Copies values; what has no place in JSON becomes None and a problem: (code, path, message)."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str, str]] = []
        self._left = MAX_VALUES

    def plain(self, value: Any, path: str, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            return self._stop(path)
        if isinstance(value, Mapping):
            return {key: self.plain(item, below(path, key), depth + 1) for key, item in self._named(value, path)}
        if isinstance(value, list | tuple):
            return [self.plain(item, below(path, index), depth + 1) for index, item in enumerate(value)]
        if reason := _not_json(value):
            self.problems.append(("wrong-type", path, reason))
            return None
        return value

    def _stop(self, path: str) -> None:
        """Says once that it is too much, and walks no further."""
        if not any(code == "too-large" for code, _, _ in self.problems):
            text = f"holds more than {MAX_VALUES} values or {MAX_DEPTH} levels, or itself"
            self.problems.append(("too-large", path.partition(".")[0], text))
        self._left = 0

    def _named(self, value: Mapping[Any, Any], path: str) -> Iterator[tuple[str, Any]]:
        for key, item in value.items():
            if isinstance(key, str) and not _not_json(key):
                yield key, item
            else:
                self.problems.append(("wrong-type", path, f"has a key of the type {type(key).__name__}, not a word"))


def _not_json(value: Any) -> str | None:
    """Why Kubernetes cannot have this value."""
    match value:
        case None | bool():
            return None
        case int():
            return None if -_BITS_64 // 2 <= value < _BITS_64 else "is a number too large for Kubernetes"
        case float():
            return None if value - value == 0 else f"is {value}, which is not a number that Kubernetes knows"
        case str():
            return _not_text(value)
    kind = type(value).__name__
    if kind == "Output":
        return "is a Pulumi Output: what the plan is made from must be known before anything is made; give the value"
    return f"is of the type {kind}; give text, a number, true, false, a list or a mapping"


def _not_text(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a character (a lone surrogate)"
    return None
