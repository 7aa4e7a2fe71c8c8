"""Files -> `Bundle`: every problem of every file at once, each with file, line, field, value, reason and way out.

Called by config (stack files), workspace (Python args) and `kaito plan`.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaito_components.errors import Finding, InvalidWorkspace
from kaito_components.spec import document as documents
from kaito_components.spec import model, rules
from kaito_components.spec.document import Document

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from kaito_components.spec import schema


def read_files(paths: Sequence[str | Path]) -> model.Bundle:
    """Reads the Workspaces of these files, and the ConfigMaps and Secrets beside them.

    Raises:
        InvalidWorkspace: with every problem of every file.
    """
    found: list[Document] = []
    problems: list[Finding] = []
    for path in paths:
        try:
            found += documents.parse(Path(path).read_text(), str(path))
        except InvalidWorkspace as bad:
            problems += bad.findings
        except (OSError, UnicodeDecodeError) as bad:
            reason = bad.strerror if isinstance(bad, OSError) else "it is not UTF-8 text"
            problems.append(Finding("error", "unreadable-file", "", f"cannot be read: {reason}", str(path)))
    return _bundle(found, problems)


def read_documents(values: Iterable[Any], file: str = "") -> model.Bundle:
    """The same for documents that are parsed already, such as those in a stack's configuration."""
    return _bundle([Document(file, value) for value in values], [])


def workspace_from_args(name: str, args: Mapping[str, Any]) -> model.Workspace:
    """A Workspace from Python args: KAITO's fields in snake case (see `spec.args`), the same rules.

    Args:
        name: the Workspace's name unless `args["workspace_name"]` gives one.
        args: only the keys of `spec.args.WorkspaceSpecArgs`.
    """
    head = {"name": args.get("workspace_name", name)}
    head |= {key: args[key] for key in ("namespace", "labels", "annotations") if key in args}
    body = {key: _camel(args[key], key) for key in ("resource", "inference", "tuning") if args.get(key) is not None}
    value = {"apiVersion": "kaito.sh/v1beta1", "kind": "Workspace", "metadata": head, **body}
    return read_documents([value], f"Workspace({name!r})").workspaces[0]


def _camel(value: Any, key: str) -> Any:
    """Keys of ours from snake case; what is Kubernetes' own, and labels, stay as they are."""
    if key in {"match_labels", "volume_source", "template"}:
        return value
    if isinstance(value, Mapping):
        return {_camel_word(str(name)): _camel(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_camel(item, key) for item in value]
    return value


def _camel_word(word: str) -> str:
    first, *rest = word.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _bundle(found: Sequence[Document], problems: list[Finding]) -> model.Bundle:
    workspaces: list[tuple[Document, model.Workspace]] = []
    config_maps: list[model.ConfigMap] = []
    secrets: list[model.Secret] = []
    for document in found:
        parsed = _parse(document, problems)
        match parsed:
            case model.Workspace():
                workspaces.append((document, parsed))
            case model.ConfigMap():
                config_maps.append(parsed)
            case model.Secret():
                secrets.append(parsed)
    bundle = model.Bundle(tuple(w for _, w in workspaces), tuple(config_maps), tuple(secrets))
    for document, workspace in workspaces:
        problems += rules.beside(document, workspace, bundle)
    problems += rules.twice(workspaces)
    if any(finding.severity == "error" for finding in problems):
        raise InvalidWorkspace(sorted(problems, key=lambda f: (f.file, f.line or 0, f.field)))
    return bundle


def _parse(document: Document, problems: list[Finding]) -> model.Workspace | model.ConfigMap | model.Secret | None:
    """One document; what is wrong with it is added to `problems`."""
    from pydantic import ValidationError

    from kaito_components.spec import schema

    shape = _shape(document, problems)
    if shape is None:
        return None
    try:
        parsed = shape.model_validate(document.values)
    except ValidationError as bad:
        problems += [_explain(document, shape, error) for error in bad.errors(include_url=False)]
        return None
    match parsed:
        case schema.WorkspaceFile():
            workspace, findings = rules.workspace(document, parsed)
            problems += [finding for finding in findings if finding.severity == "error"]
            return workspace
        case schema.ConfigMapFile():
            return _config_map(parsed)
        case schema.SecretFile():
            problems += rules.secret(document, parsed)
            return _secret(parsed)
    raise AssertionError(f"no case for {shape.__name__}")


def _shape(document: Document, problems: list[Finding]) -> "type[schema.Strict] | None":
    from kaito_components.spec import schema

    if not isinstance(document.values, Mapping):
        problems.append(
            document.finding("error", "not-an-object", "", "is not a Kubernetes object: no apiVersion, kind")
        )
        return None
    kind = document.values.get("kind")
    if isinstance(kind, str) and kind in schema.KINDS:
        return schema.KINDS[kind]
    known = "Workspace, ConfigMap and Secret are"
    reason = (
        f"KAITO's {kind} is not supported yet" if kind in schema.NOT_YET else f"{kind!r} is not a kind for this place"
    )
    problems.append(document.finding("error", "unsupported-kind", "kind", f"{reason}; {known}"))
    return None


def _config_map(parsed: "schema.ConfigMapFile") -> model.ConfigMap:
    head = parsed.metadata
    return model.ConfigMap(head.name, head.namespace, parsed.data, head.labels, head.annotations)


def _secret(parsed: "schema.SecretFile") -> model.Secret:
    head = parsed.metadata
    return model.Secret(
        head.name, head.namespace, parsed.type, parsed.data, parsed.string_data, head.labels, head.annotations
    )


_EXPECTED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "greater_than_equal": "must be at least 1",
}


def _explain(document: Document, shape: type, error: "ErrorDetails") -> Finding:
    """pydantic's error in our words; a Secret's values are never repeated."""
    path = _path(error["loc"])
    value = error.get("input")
    if error["type"] == "extra_forbidden":
        return document.finding("error", "unknown-field", path, f"is not a field{_near(shape, error['loc'])}")
    if error["type"] == "missing":
        return document.finding("error", "missing-field", path, "is missing")
    if error["type"] == "literal_error":
        expected = f"must be {error.get('ctx', {}).get('expected', 'another value')}"
    else:
        expected = _EXPECTED.get(error["type"], error["msg"].lower())
    secret = path.startswith(("data", "stringData"))
    shown = "" if secret or isinstance(value, Mapping | list) else f"{value!r} "
    return document.finding("error", "wrong-type", path, f"{shown}{expected}")


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else part
    return path


def _near(shape: type, location: Sequence[str | int]) -> str:
    """A hint at the field that may have been meant, among those that stand at the same place."""
    here: Any = shape
    for part in location[:-1]:
        if isinstance(part, str) and hasattr(here, "model_fields"):
            field = next((f for f in here.model_fields.values() if f.alias == part), None)
            here = _model_of(field.annotation) if field else None
    known = [f.alias for f in here.model_fields.values()] if hasattr(here, "model_fields") else []
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"; did you mean {near[0]}?" if near else (f"; fields here are {', '.join(sorted(known))}" if known else "")


def _model_of(annotation: Any) -> Any:
    from typing import get_args

    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_of(part)) is not None), None)
