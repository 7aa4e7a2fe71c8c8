"""The tables of docs/workspace.md, made from what the reader knows.

`python -m kaito_components.spec.reference docs/workspace.md` writes them between that file's marks, where a test
holds them up to date.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import get_origin

from pydantic.fields import FieldInfo

from kaito_components.spec import annotations, schema

Row = tuple[str, ...]

_MARKED = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TAKEN = {"": "yes", "unsupported-field": "refused: `unsupported-field`"}


def with_tables(text: str) -> str:
    """The text with every table between its marks made anew."""
    return _MARKED.sub(lambda found: f"{found[1]}{_table(found[2])}{found[3]}", text)


def _table(name: str) -> str:
    match name:
        case "workspace":
            return _markdown(("Field", "Accepted", "Here"), _fields(schema.WorkspaceFile))
        case "beside":
            return _markdown(("Kind", "Field", "Accepted", "Here"), _beside())
        case "sets":
            return _markdown(("Field", "Accepted", "Here"), _of_sets())
        case "annotations":
            return _markdown(("Annotation", "Values", "Here"), _annotations())
    raise ValueError(f"there is no table {name}")


def _markdown(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _of_sets() -> Iterator[Row]:
    """Fields of an InferenceSet; what it has in common with a Workspace stands there."""
    for row in _fields(schema.InferenceSetFile):
        if not row[0].startswith(("`metadata.", "`spec.template.inference.", "`spec.labelSelector.")):
            yield row


def _beside() -> Iterator[Row]:
    """Fields of ConfigMap and Secret; their metadata is a Workspace's."""
    for kind in ("ConfigMap", "Secret"):
        for row in _fields(schema.KINDS[kind]):
            if not row[0].startswith("`metadata."):
                yield kind, *row


def _fields(shape: type[schema.Strict], path: str = "") -> Iterator[Row]:
    """A row for each field; what a cluster sets stands in one row."""
    named = [(f"{path}{name}", field) for name, field in schema.fields(shape).items()]
    for code, group in groupby(named, lambda one: schema.code_of(one[1])):
        members = list(group)
        if code == "server-field":
            yield ", ".join(f"`{name}`" for name, _ in members), _taken(code), schema.SERVER
            continue
        for name, field in members:
            needed = " (needed)" if field.is_required() else ""
            yield f"`{name}`{needed}", _taken(code), str(field.description)
            yield from _below(name, field)


def _below(name: str, field: FieldInfo) -> Iterator[Row]:
    inner = schema.model_of(field.annotation)
    if inner is not None and issubclass(inner, schema.Strict):
        yield from _fields(inner, f"{name}[]." if get_origin(field.annotation) is list else f"{name}.")


def _taken(code: str) -> str:
    return _TAKEN.get(code, f"with `{code}`")


def _annotations() -> Iterator[Row]:
    for key, known in annotations.KNOWN.items():
        values = " or ".join(f"`{value}`" for value in known.values or ())
        yield f"`{key}`", (values or "") + (", in any case" if known.any_case else ""), known.meaning
    for key, reason in annotations.WITHOUT_MEANING.items():
        yield f"`{key}`", "", f"nothing (`ignored-annotation`): {reason}"


if __name__ == "__main__":
    for file in map(Path, sys.argv[1:]):
        file.write_text(with_tables(file.read_text()))
