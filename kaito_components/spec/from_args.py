"""Python args -> a Workspace: the rules of files, and errors that name the Python path. Called through reader."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.spec import model, schema
from kaito_components.spec.bundling import bundle
from kaito_components.spec.composing import below
from kaito_components.spec.document import Document
from kaito_components.spec.explaining import near
from kaito_components.spec.plain_values import from_values

HEAD_KEYS = {"workspace_name": "name", "namespace": "namespace", "labels": "labels", "annotations": "annotations"}
BODY_KEYS = ("resource", "inference", "tuning")


def workspace_from_args(name: str, args: Mapping[str, Any]) -> model.Workspace:
    """The Workspace of `bundle_from_args`."""
    return bundle_from_args(name, args).workspaces[0]


def bundle_from_args(name: str, args: Mapping[str, Any]) -> model.Bundle:
    """A Workspace from Python args, and the ConfigMaps beside it.

    Args:
        name: the Workspace's name unless `args["workspace_name"]` gives one.
        args: only the keys of `spec.args.WorkspaceSpecArgs`.

    Raises:
        InvalidWorkspace: with every problem; each names its field as `args.resource.instance_type`.
    """
    spelled = _Spelling(f"Workspace({name!r})")
    document = spelled.document(name, {key: value for key, value in args.items() if key != "config_maps"})
    beside = spelled.config_maps(args.get("config_maps") or {}, document.values["metadata"].get("namespace"))
    findings: tuple[Finding, ...] = tuple(spelled.problems)
    try:
        made = bundle([document, *beside], [])
    except InvalidWorkspace as refused:
        told = [finding for finding in map(spelled.in_python, refused.findings) if not _known(finding, findings)]
        raise InvalidWorkspace(sorted([*findings, *told], key=lambda f: (f.field, f.code))) from None
    if findings:
        raise InvalidWorkspace(findings)
    (one,) = made.workspaces
    return replace(made, workspaces=(replace(one, findings=tuple(map(spelled.in_python, one.findings))),))


def _known(finding: Finding, findings: tuple[Finding, ...]) -> bool:
    """Whether a field is missing only because it could not be read."""
    return finding.code == "missing-field" and any(finding.field == other.field for other in findings)


class _Spelling:
    """Makes KAITO's spelling of Python's, and of findings about the one findings about the other."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._python = {"metadata.name": "name", "": "args"}  # KAITO's path -> Python's
        self.problems: list[Finding] = []

    def document(self, name: str, args: Mapping[str, Any]) -> Any:
        """The args as KAITO's file would have them; what is no field of theirs is a problem."""
        values: dict[str, Any] = {"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace"}
        document, problems = from_values({**values, "metadata": {"name": name}, "args": args}, self._file)
        self.problems += problems
        head = document.values["metadata"]
        given = document.values["args"] if isinstance(document.values["args"], dict) else {}
        for key, value in given.items():
            path = below("args", key)
            if key in HEAD_KEYS and value is not None:
                self._note(f"metadata.{HEAD_KEYS[key]}", path)
                head[HEAD_KEYS[key]] = value
                for inner in value if isinstance(value, dict) else ():
                    self._note(below(f"metadata.{HEAD_KEYS[key]}", inner), below(path, inner))
            elif key in BODY_KEYS:
                field = schema.WorkspaceFile.model_fields[key]
                values[key] = self._camel(value, schema.model_of(field.annotation), key, path)
            elif key not in HEAD_KEYS:
                self._unknown(path, key, [*BODY_KEYS, *HEAD_KEYS])
        return replace(document, values={**values, "metadata": head})

    def config_maps(self, given: Any, namespace: Any) -> list[Document]:
        """ConfigMaps as their files would have them."""
        if not isinstance(given, Mapping):
            self.problems.append(Finding("error", "wrong-type", "args.config_maps", "is no mapping", self._file))
            return []
        found: list[Document] = []
        for name, data in given.items():
            head = {"name": name, **({"namespace": namespace} if namespace else {})}
            values = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": data}
            document, problems = from_values(values, f"{self._file}: config_maps[{name!r}]")
            self.problems += problems
            found.append(document)
        return found

    def in_python(self, finding: Finding) -> Finding:
        """The finding about a file's field as one about an arg; one about a ConfigMap stays as it is."""
        if finding.file != self._file:
            return finding
        path, rest = finding.field, ""
        while path not in self._python:
            cut = max(path.rfind("."), path.rfind("["), 0)
            path, rest = path[:cut], path[cut:] + rest
        words = "|".join(sorted(_CAMEL, key=len, reverse=True))
        message = re.sub(rf"\b({words})\b", lambda word: _snake(word[1]), finding.message)
        dot = "." if rest and not rest.startswith((".", "[")) else ""
        return replace(finding, field=self._python[path] + dot + _snake(rest), message=message)

    def _camel(self, value: Any, shape: Any, path: str, python: str) -> Any:
        """Keys of ours from snake case; what is Kubernetes' own, and labels, stay as they are."""
        self._note(path, python)
        if isinstance(value, list):
            return [self._camel(v, shape, below(path, n), below(python, n)) for n, v in enumerate(value)]
        if not isinstance(value, dict) or shape is None:
            if path.endswith(".strength") and isinstance(value, int | float) and not isinstance(value, bool):
                return str(value)
            return value
        camel: dict[str, Any] = {}
        for key, item in value.items():
            field = shape.model_fields.get(key)
            if field is None:
                self._unknown(below(python, key), key, list(shape.model_fields))
            else:
                inner, at = schema.model_of(field.annotation), below(path, field.alias)
                camel[field.alias] = self._camel(item, inner, at, below(python, key))
        return camel

    def _note(self, path: str, python: str) -> None:
        self._python[path] = python

    def _unknown(self, path: str, key: str, known: list[str]) -> None:
        text = f"is not a field; {near(_snake(key), known)}"
        self.problems.append(Finding("error", "unknown-field", path, text, self._file))


def _snake(words: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda letter: f"_{letter[1].lower()}", words)


def _camel_names(shape: Any) -> set[str]:
    found: set[str] = set()
    for name, field in schema.fields(shape).items():
        inner = schema.model_of(field.annotation)
        found |= {name} | (_camel_names(inner) if inner else set())
    return found


_CAMEL = {name for name in _camel_names(schema.WorkspaceFile) if name != name.lower() and name != "apiVersion"}
