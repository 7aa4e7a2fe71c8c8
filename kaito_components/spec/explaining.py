"""pydantic's errors -> findings in our words. Called by recovering. A Secret's values are never repeated."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kaito_components.errors import Finding
from kaito_components.spec import schema
from kaito_components.spec.composing import below
from kaito_components.spec.document import Document

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_EXPECTED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "greater_than_equal": "must be at least 1",
}
_SHOWN_LENGTH = 80


def explain(document: Document, shape: "type[BaseModel]", refused: "ValidationError") -> Iterator[Finding]:
    """What is wrong with the fields' names and types."""
    misplaced = shape is schema.WorkspaceFile and "spec" in document.values
    for error in refused.errors(include_url=False, include_context=True):
        path = path_of(error["loc"])
        if error["type"] == "extra_forbidden":
            yield document.error("unknown-field", path, _unknown(shape, error["loc"]))
        elif error["type"] == "missing" and not (misplaced and "." not in path):
            holder = holder_of(shape, error["loc"])
            field = schema.fields(holder).get(str(error["loc"][-1])) if holder else None
            meaning = f": {field.description}" if field and field.description else ""
            yield document.error("missing-field", path, f"is missing{meaning}")
        elif error["type"] != "missing":
            yield document.error("wrong-type", path, _wrong(document, error))


def path_of(location: Sequence[str | int]) -> str:
    """pydantic's location as the field path that Document knows."""
    path = ""
    for part in location:
        path = below(path, part)
    return path


def near(name: str, known: Sequence[str]) -> str:
    """A hint at the name that may have been meant; all names where none is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if not close:
        close = [one for one in known if one.lower() == name.replace("_", "").lower()][:1]
    return f"did you mean {close[0]}?" if close else f"fields here are {', '.join(sorted(known))}"


def _unknown(shape: "type[BaseModel]", location: Sequence[str | int]) -> str:
    name = str(location[-1])
    holder = holder_of(shape, location)
    if holder is schema.WorkspaceFile and name == "spec":
        return "is not a field: KAITO's Workspace has no spec; move resource, inference and tuning to the top"
    return f"is not a field; {near(name, list(schema.fields(holder)))}" if holder else "is not a field"


def holder_of(shape: "type[BaseModel]", location: Sequence[str | int]) -> "type[BaseModel] | None":
    """The model that the last part of a location is a field of; None below Kubernetes' own forms and labels."""
    here: type[BaseModel] | None = shape
    for part in location[:-1]:
        if isinstance(part, str) and here is not None:
            field = schema.fields(here).get(part)
            here = schema.model_of(field.annotation) if field else None
    return here


def _wrong(document: Document, error: "ErrorDetails") -> str:
    value = error.get("input")
    if error["type"] == "literal_error":
        expected = f"must be {error.get('ctx', {}).get('expected', 'another value')}"
    else:
        expected = _EXPECTED.get(error["type"], "has the wrong type")
    if error["type"] == "string_type" and isinstance(value, bool | int | float):
        expected += "; put it in quotes"
    return f"{_shown(document, error['loc'], value)}{expected}"


def _shown(document: Document, location: Sequence[Any], value: Any) -> str:
    """The value as it may be repeated: not if it is a Secret's, and not if it is long."""
    is_secret = isinstance(document.values, Mapping) and document.values.get("kind") == "Secret"
    if (is_secret and location[:1] not in (("apiVersion",), ("metadata",))) or isinstance(value, Mapping | list):
        return ""
    text = "true" if value is True else "false" if value is False else ascii(value)
    return f"{text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + '...'} "
