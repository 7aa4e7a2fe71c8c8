"""Compares what a program sends with Azure's own models, the classes of `azure-mgmt-containerservice`.

Called by checking.py at preview, where azure-native complains about types alone, and by arm.py before anything is
made. It knows the models by their annotations and `rest_field`s; tests hold it to the installed version of them.
"""

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from typing import Any, Literal

from local_cloud.providers.azure_native.errors import bad_parameter
from local_cloud.providers.wire import UNKNOWN

MODELS = {"AgentPool": "AgentPool", "ManagedCluster": "ManagedCluster"}
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


@dataclass(frozen=True)
class Problem:
    """One value that does not fit the model.

    Attributes:
        path: where, in the words of the JSON body: `properties.gpuProfile.driver`.
        fault: "unknown" property, "type", or "value" that is none of the model's.
        expected: the model's type or values, in words.
    """

    path: str
    fault: Literal["unknown", "type", "value"]
    expected: str
    value: Any


def problems(kind: str, body: Mapping[str, Any]) -> list[Problem]:
    """All that is wrong with the body of a ManagedCluster or an AgentPool; a ResourceGroup has no model here."""
    return list(_against_model(_model(MODELS[kind]), body, "")) if kind in MODELS else []


def refuse_bad_body(kind: str, body: Mapping[str, Any]) -> None:
    """Answers 400 for the first thing that is wrong.

    Raises:
        ArmError: naming the property.
    """
    for problem in problems(kind, body):
        if problem.fault == "unknown":
            raise bad_parameter(problem.path, f"there is no such property, {problem.expected}")
        raise bad_parameter(problem.path, f"expected {problem.expected}, got {problem.value!r}")


def preload() -> None:
    """Imports the models, which takes a third of a second, ahead of their first use."""
    _model("AgentPool")


def writable(kind: str) -> frozenset[str]:
    """Names that a body may have at its top, those in `properties` among them."""
    model = _model(MODELS[kind])
    outer = _fields(model)
    return (frozenset(outer) | frozenset(_fields(_only_class(outer["properties"])))) - {"properties"}


@cache
def _model(name: str) -> type:
    from azure.mgmt.containerservice import models

    return typing.cast(type, getattr(models, name))


@cache
def _fields(model: type) -> dict[str, Any]:
    """Annotation of each property that may be written, by its name in JSON."""
    from azure.mgmt.containerservice import models

    model()  # the first instance gives the fields their names
    hints = typing.get_type_hints(model, localns={"_models": models})
    fields: dict[str, Any] = model._attr_to_rest_field  # type: ignore[attr-defined]
    return {
        field._rest_name: hints[name]
        for name, field in fields.items()
        if field._visibility is None or "create" in field._visibility
    }


def _against_model(model: type, body: Any, path: str) -> Iterator[Problem]:
    fields = _fields(model)
    for name, value in body.items():
        where = f"{path}.{name}" if path else name
        if name not in fields:
            near = get_close_matches(name, fields, n=1)
            yield Problem(where, "unknown", f"did you mean {near[0]}?" if near else "nor one like it", value)
        elif value is not None and value is not UNKNOWN:
            yield from _against_type(fields[name], value, where)


def _against_type(annotation: Any, value: Any, path: str) -> Iterator[Problem]:
    if value is UNKNOWN:
        return
    options = _options(annotation)
    enums = [option for option in options if isinstance(option, type) and issubclass(option, Enum)]
    if enums:
        yield from _against_enum(enums[0], value, path)
        return
    expected = options[0]
    origin = typing.get_origin(expected) or expected
    if not isinstance(origin, type):
        return
    if origin in (list, dict):
        yield from _against_collection(origin, typing.get_args(expected)[-1], value, path)
    elif issubclass(origin, _base()):
        if isinstance(value, dict):
            yield from _against_model(origin, value, path)
        else:
            yield Problem(path, "type", "object", value)
    elif not _is_scalar(origin, value):
        yield Problem(path, "type", JSON_TYPES.get(origin, "string"), value)


def _against_enum(enum: type[Enum], value: Any, path: str) -> Iterator[Problem]:
    known = [str(member.value) for member in enum]
    if not isinstance(value, str):
        yield Problem(path, "type", "string", value)
    elif value.lower() not in (name.lower() for name in known):
        yield Problem(path, "value", "one of " + ", ".join(known), value)


def _against_collection(origin: type, item: Any, value: Any, path: str) -> Iterator[Problem]:
    parts: Any = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    if not isinstance(value, origin):
        yield Problem(path, "type", JSON_TYPES[origin], value)
        return
    for key, element in parts:
        yield from _against_type(item, element, f"{path}.{key}" if origin is dict else f"{path}[{key}]")


def _is_scalar(expected: type, value: Any) -> bool:
    if expected in (int, float):
        return isinstance(value, int | float if expected is float else int) and not isinstance(value, bool)
    if expected is bool:
        return isinstance(value, bool)
    return isinstance(value, str) if expected in (str, bytes) else not isinstance(value, dict | list)


def _options(annotation: Any) -> list[Any]:
    """What a value may be, None left out."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [option for option in typing.get_args(annotation) if option is not type(None)]
    return [annotation]


def _only_class(annotation: Any) -> type:
    return typing.cast(type, _options(annotation)[0])


@cache
def _base() -> type:
    from azure.mgmt.containerservice._utils.model_base import Model

    return typing.cast(type, Model)
