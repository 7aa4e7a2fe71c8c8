"""Files, configuration or Python args -> values of `model`, or every problem of all of them at once.

Called by config (stack files), workspace (Python args) and `kaito plan`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kaito_components.errors import Finding
from kaito_components.spec import document as documents
from kaito_components.spec import model
from kaito_components.spec.bundling import bundle
from kaito_components.spec.document import Document
from kaito_components.spec.from_args import workspace_from_args
from kaito_components.spec.plain_values import from_values

__all__ = ["read_documents", "read_files", "workspace_from_args"]


def read_files(paths: Sequence[str | Path]) -> model.Bundle:
    """Reads the Workspaces of these files, and the ConfigMaps and Secrets beside them.

    Raises:
        InvalidWorkspace: with every problem of every file.
    """
    found: list[Document] = []
    problems: list[Finding] = []
    for path in paths:
        text = _text(path, problems)
        if text is not None:
            read, bad = documents.parse(text, str(path))
            found += read
            problems += bad
            if not read and not bad:
                problems.append(Finding("error", "no-object", "", "holds no Kubernetes object", str(path)))
    return bundle(found, problems)


def read_documents(values: Iterable[Any], file: str = "") -> model.Bundle:
    """The same for documents that are parsed already, such as those in a stack's configuration.

    Raises:
        InvalidWorkspace: with every problem of every document.
    """
    found: list[Document] = []
    problems: list[Finding] = []
    for value in values:
        document, bad = from_values(value, file)
        found.append(document)
        problems += bad
    return bundle(found, problems)


def _text(path: str | Path, problems: list[Finding]) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as bad:
        reason = bad.strerror or str(bad)
    except ValueError as bad:  # no UTF-8, or a path that cannot be
        reason = "it is not UTF-8 text" if isinstance(bad, UnicodeDecodeError) else str(bad)
    problems.append(Finding("error", "unreadable-file", "", f"cannot be read: {reason}", str(path)))
    return None
