"""Files, configuration or Python args -> values of `model`, or every problem of all of them at once.

Called by config (stack files), workspace (Python args) and `kaito plan`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaito_components.errors import Finding
from kaito_components.spec import document as documents
from kaito_components.spec import model
from kaito_components.spec.bundling import bundle
from kaito_components.spec.document import Document
from kaito_components.spec.from_args import bundle_from_args, workspace_from_args
from kaito_components.spec.plain_values import from_values

__all__ = ["Inline", "bundle_from_args", "read_documents", "read_files", "workspace_from_args"]


@dataclass(frozen=True)
class Inline:
    """A document that is parsed already, and what stands for its file in messages."""

    value: Any
    place: str = ""


def read_files(sources: Iterable[str | Path | Inline]) -> model.Bundle:
    """Reads the Workspaces of these files, and the ConfigMaps and Secrets beside them.

    Raises:
        InvalidWorkspace: with every problem of every file.
    """
    found: list[Document] = []
    problems: list[Finding] = []
    for source in sources:
        read, bad = _inline(source) if isinstance(source, Inline) else _file(source)
        found += read
        problems += bad
    return bundle(found, problems)


def read_documents(values: Iterable[Any], file: str = "") -> model.Bundle:
    """The same for documents of one place that are parsed already.

    Raises:
        InvalidWorkspace: with every problem of every document.
    """
    return read_files(Inline(value, file) for value in values)


def _inline(source: Inline) -> tuple[list[Document], list[Finding]]:
    document, problems = from_values(source.value, source.place)
    return [document], problems


def _file(path: str | Path) -> tuple[list[Document], list[Finding]]:
    problems: list[Finding] = []
    text = _text(path, problems)
    if text is None:
        return [], problems
    found, problems = documents.parse(text, str(path))
    if not found and not problems:
        problems = [Finding("error", "no-object", "", "holds no Kubernetes object", str(path))]
    return found, problems


def _text(path: str | Path, problems: list[Finding]) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as bad:
        reason = bad.strerror or str(bad)
    except ValueError as bad:  # no UTF-8, or a path that cannot be
        reason = "it is not UTF-8 text" if isinstance(bad, UnicodeDecodeError) else str(bad)
    problems.append(Finding("error", "unreadable-file", "", f"cannot be read: {reason}", str(path)))
    return None
