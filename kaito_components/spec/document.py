"""YAML text -> documents that know the line of each of their fields. Called by reader."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kaito_components.errors import Finding, InvalidWorkspace


@dataclass(frozen=True)
class Document:
    """One YAML document: plain values, and the line (from 1) of each field path such as `tuning.input.urls[0]`."""

    file: str
    values: Any
    lines: Mapping[str, int] = field(default_factory=dict)

    def finding(self, severity: Any, code: str, path: str, message: str) -> Finding:
        """A finding about a field, with the line of the nearest field that is in the file."""
        at = path
        while at and at not in self.lines:
            at = at.rpartition("[")[0] if at.endswith("]") else at.rpartition(".")[0]
        return Finding(severity, code, path, message, self.file, self.lines.get(at, self.lines.get("")))


def parse(text: str, file: str) -> list[Document]:
    """The documents of a YAML text; empty ones are left out.

    Raises:
        InvalidWorkspace: it is not YAML, or a key stands twice in one mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        loaded = [document for document in YAML(typ="rt", pure=True).load_all(text) if document is not None]
    except MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else None
        reason = (problem.problem or str(problem)).splitlines()[0]
        raise InvalidWorkspace([Finding("error", "not-yaml", "", f"is not valid YAML: {reason}", file, line)]) from None
    return [_document(file, loaded_document) for loaded_document in loaded]


def _document(file: str, loaded: Any) -> Document:
    lines: dict[str, int] = {}
    if hasattr(loaded, "lc"):
        lines[""] = loaded.lc.line + 1
    values = _plain(loaded, "", lines)
    return Document(file, values, lines)


def _plain(value: Any, path: str, lines: dict[str, int]) -> Any:
    """ruamel's values as plain ones; notes the line of every key and item on the way."""
    if isinstance(value, Mapping):
        plain: dict[Any, Any] = {}
        for key, item in value.items():
            below = f"{path}.{key}" if path else str(key)
            position = value.lc.key(key) if hasattr(value, "lc") and key in value.lc.data else None
            if position:
                lines[below] = position[0] + 1
            plain[str(key) if isinstance(key, str) else key] = _plain(item, below, lines)
        return plain
    if isinstance(value, list):
        for index, _ in enumerate(value):
            if hasattr(value, "lc") and index in (value.lc.data or {}):
                lines[f"{path}[{index}]"] = value.lc.item(index)[0] + 1
        return [_plain(item, f"{path}[{index}]", lines) for index, item in enumerate(value)]
    if isinstance(value, bool) or value is None:
        return value
    for plain_type in (str, int, float):
        if isinstance(value, plain_type):
            return plain_type(value)
    return value
