"""Diff, as azure-native does it: old inputs against new inputs, property by property.

Source: pulumi/pulumi-azure-native provider/pkg/provider/diff.go and provider.go, Diff.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local_cloud.providers.azure_native.checking import CREATE_BEFORE_DELETE
from local_cloud.providers.azure_native.resource_types import ResourceType
from local_cloud.providers.azure_native.settings import normal_location
from local_cloud.providers.wire import UNKNOWN, reveal

Kind = Literal["ADD", "DELETE", "UPDATE"]


@dataclass(frozen=True)
class Change:
    """One property that differs. `path` is the engine's, `rule` the same without indices."""

    path: str
    rule: str
    kind: Kind


@dataclass(frozen=True)
class Difference:
    """All that differs, and what of it can only be had by a new resource."""

    changes: tuple[Change, ...]
    replaces: frozenset[str]
    delete_before_replace: bool


def difference(
    type: ResourceType, old_inputs: Mapping[str, Any], new_inputs: Mapping[str, Any], old_outputs: Mapping[str, Any]
) -> Difference:
    """Compares inputs; outputs only tell whether an input that is new says what is so already."""
    old, new = reveal(dict(old_inputs)), reveal(dict(new_inputs))
    if "azureApiVersion" in old_outputs:  # an imported resource has it as an output only
        old.setdefault("azureApiVersion", old_outputs["azureApiVersion"])
    _forget_spelling_of_location(old, new)
    changes = tuple(_changes(old, new, "", ""))
    forcing = {part.name for part in type.path} | type.force_new
    replaces = frozenset(
        change.path for change in changes if _forces(change, forcing) and not _is_so_already(change, new, old_outputs)
    )
    return Difference(changes, replaces, bool(replaces) and not old.get(CREATE_BEFORE_DELETE))


def applied(inputs: Mapping[str, Any], before: Any, after: Any) -> dict[str, Any]:
    """The inputs with everything that differs between two readings of the resource put into them, for refresh.

    What Azure filled in is in both readings, so it does not become an input.
    """
    result = {name: value for name, value in inputs.items() if name not in before or name in after}
    for name, value in after.items():
        if name not in before:
            result[name] = value
        elif before[name] != value:
            nested = all(isinstance(bag, dict) for bag in (inputs.get(name), before[name], value))
            result[name] = applied(inputs[name], before[name], value) if nested else value
    return result


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], path: str, rule: str) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        here, ruled = _join(path, name), f"{rule}.{name}" if rule else name
        if name not in new:
            yield Change(here, ruled, "DELETE")
        elif name not in old:
            yield Change(here, ruled, "ADD")
        else:
            yield from _value_changes(old[name], new[name], here, ruled)


def _value_changes(old: Any, new: Any, path: str, rule: str) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _changes(old, new, path, rule)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            here, ruled = f"{path}[{index}]", f"{rule}[]"
            if index >= len(new):
                yield Change(here, ruled, "DELETE")
            elif index >= len(old):
                yield Change(here, ruled, "ADD")
            else:
                yield from _value_changes(old[index], new[index], here, ruled)
    elif new is UNKNOWN or old != new:
        yield Change(path, rule, "UPDATE")


def _join(path: str, name: str) -> str:
    """The engine's property path: names with dots in them, as label keys have, stand in brackets."""
    part = f'["{name}"]' if "." in name or "/" in name else name
    return part if not path else f"{path}{part}" if part.startswith("[") else f"{path}.{part}"


def _forces(change: Change, forcing: set[str]) -> bool:
    parts = change.rule.split(".")
    whole = change.rule in forcing
    return whole or (change.kind == "UPDATE" and any(".".join(parts[:n]) in forcing for n in range(1, len(parts))))


def _is_so_already(change: Change, new: Mapping[str, Any], outputs: Mapping[str, Any]) -> bool:
    return change.kind == "ADD" and change.path in outputs and new.get(change.path) == reveal(outputs[change.path])


def _forget_spelling_of_location(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = old.get("location"), new.get("location")
    if isinstance(before, str) and isinstance(after, str) and normal_location(before) == normal_location(after):
        new["location"] = before
