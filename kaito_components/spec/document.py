"""Documents that know the file and the line of each of their fields. Called by reader, bundling and the rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kaito_components.errors import Finding, Severity
from kaito_components.spec.composing import Composer, Flattening, Unusable


@dataclass(frozen=True)
class Document:
    """One YAML document: plain values, and the line (from 1) of each field path such as `tuning.input.urls[0]`."""

    file: str
    values: Any
    lines: Mapping[str, int] = field(default_factory=dict)

    def error(self, code: str, path: str, message: str) -> Finding:
        """Something that must be changed before the Workspace can be used."""
        return self._finding("error", code, path, message)

    def warning(self, code: str, path: str, message: str) -> Finding:
        """Something that works, and is probably not what was meant."""
        return self._finding("warning", code, path, message)

    def info(self, code: str, path: str, message: str) -> Finding:
        """Something to know."""
        return self._finding("info", code, path, message)

    def items(self) -> "list[Document]":
        """The items of a Kubernetes List as documents of their own, each with the lines it has in the file."""
        return [Document(self.file, item, self._lines_of(f"items[{n}]")) for n, item in enumerate(self.values["items"])]

    def _lines_of(self, path: str) -> dict[str, int]:
        inner = {at[len(path) + 1 :]: line for at, line in self.lines.items() if at.startswith(f"{path}.")}
        return {"": self.lines[path], **inner} if path in self.lines else {}

    def _finding(self, severity: Severity, code: str, path: str, message: str) -> Finding:
        """With the line of the nearest field that is in the file."""
        at = path
        while at and at not in self.lines:
            at = at.rpartition("[")[0] if at.endswith("]") else at.rpartition(".")[0]
        return Finding(severity, code, path, message, self.file, self.lines.get(at, self.lines.get("")))


def parse(text: str, file: str) -> tuple[list[Document], list[Finding]]:
    """The documents of a YAML text, and what is wrong with its YAML. Empty documents are left out."""
    from ruamel.yaml.error import YAMLError

    problems: list[Finding] = []
    documents: list[Document] = []
    composer = None
    try:
        composer = Composer(text.removeprefix("\ufeff"))
        for node in composer.nodes():
            lines = {"": node.line}
            values = Flattening(lines).plain(node)
            if values is not None:
                documents.append(Document(file, values, lines))
    except Unusable as bad:
        problems.append(Finding("error", bad.code, "", bad.message, file, bad.line))
    except YAMLError as bad:
        problems.append(_not_yaml(bad, text, file))
    if composer:
        problems += [Finding("error", "duplicate-key", path, say, file, line) for line, path, say in composer.doubts]
    return documents, problems


def _not_yaml(bad: Exception, text: str, file: str) -> Finding:
    """The parser's reason, with its line; never the text itself, which may be a Secret's."""
    mark = getattr(bad, "problem_mark", None) or getattr(bad, "context_mark", None)
    position = getattr(bad, "position", None)
    line = mark.line + 1 if mark is not None else None
    if isinstance(position, int):
        line = text[:position].count("\n") + 1
    reason = getattr(bad, "problem", None) or getattr(bad, "reason", None) or "it cannot be parsed"
    return Finding("error", "not-yaml", "", f"is not valid YAML: {str(reason).splitlines()[0]}", file, line)
