"""Check, as azure-native does it: names and locations are filled in, then the inputs are compared with the schema.

Source: pulumi/pulumi-azure-native provider/pkg/provider/provider.go: Check, applyDefaults, validateType,
validateProperty.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.providers.azure_native.bodies import problems
from local_cloud.providers.azure_native.resource_types import PathInput, ResourceType
from local_cloud.providers.wire import UNKNOWN, reveal

CREATE_BEFORE_DELETE = "__createBeforeDelete"
"""The input by which azure-native remembers that it made up the name, so that a replacement can be made first."""


@dataclass(frozen=True)
class AutoNaming:
    """The stack's `pulumi:autonaming`, if it has one: PROPOSE, ENFORCE or DISABLE."""

    mode: str
    proposed_name: str


@dataclass(frozen=True)
class Naming:
    """From what a name is made: the logical name, the engine's seed, and the stack's rule."""

    logical_name: str
    seed: bytes
    auto: AutoNaming | None


def checked(
    type: ResourceType,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    naming: Naming,
    default_location: Callable[[str], str | None],
) -> tuple[dict[str, Any], list[str]]:
    """The inputs that the engine keeps, and what is wrong with them.

    Args:
        default_location: the configured location, else that of the resource group with the given name.
    """
    inputs = {name: value for name, value in new.items() if value is not None}
    for part in type.path:
        if part.name not in inputs and part.auto_name is not None:
            inputs.update(_auto_name(part, old, naming))
    if "location" in type.inputs and "location" not in inputs:
        inputs.update(_location(old, inputs, default_location))
    inputs.setdefault("azureApiVersion", type.api_version)
    return inputs, _failures(type, reveal(inputs))


def _auto_name(part: PathInput, old: Mapping[str, Any], naming: Naming) -> dict[str, Any]:
    if part.name in old:
        kept = {part.name: old[part.name]}
        return {**kept, CREATE_BEFORE_DELETE: True} if old.get(CREATE_BEFORE_DELETE) else kept
    if naming.auto is not None and naming.auto.mode == "DISABLE":
        return {}
    if naming.auto is not None:
        return {part.name: naming.auto.proposed_name, CREATE_BEFORE_DELETE: True}
    if part.auto_name == "copy":
        return {part.name: naming.logical_name}
    digest = hashlib.sha256(naming.seed).hexdigest() if naming.seed else secrets.token_hex(4)
    return {part.name: naming.logical_name + digest[:8], CREATE_BEFORE_DELETE: True}


def _location(
    old: Mapping[str, Any], inputs: Mapping[str, Any], default_location: Callable[[str], str | None]
) -> dict[str, Any]:
    if "location" in old:
        return {"location": old["location"]}
    group = reveal(inputs.get("resourceGroupName", ""))
    location = UNKNOWN if group is UNKNOWN else default_location(group)
    return {} if location is None else {"location": location}


def _failures(type: ResourceType, inputs: Mapping[str, Any]) -> list[str]:
    failures = [f"missing required property '{part.name}'" for part in type.path if part.name not in inputs]
    for name in type.required:
        if name not in inputs:
            hint = ". Either set it explicitly or configure it with 'pulumi config set azure-native:location <value>'."
            failures.append(f"missing required property '{name}'" + (hint if name == "location" else ""))
    for part in type.path:
        failures.extend(_bad_name(part, inputs.get(part.name, UNKNOWN)))
    return failures + _bad_types(type, inputs)


def _bad_name(part: PathInput, value: Any) -> list[str]:
    if value is UNKNOWN:
        return []
    if not isinstance(value, str):
        return [f"'{part.name}' should be of type 'string' but got a number"]
    if len(value) > part.max_length:
        long = f"'{part.name}' is too long ({len(value)}): at most {part.max_length} characters allowed"
        return [long]
    if not part.pattern.fullmatch(value):
        return [f"'{part.name}' does not match expression '^{part.pattern.pattern}$'"]
    return []


def _bad_types(type: ResourceType, inputs: Mapping[str, Any]) -> list[str]:
    """Strings, numbers and arrays in the wrong place. Nothing else: azure-native leaves the rest to Azure."""
    sent = {name: value for name, value in inputs.items() if name in type.inputs}
    outer = {name: value for name, value in sent.items() if name in type.outer}
    path = {part.name for part in type.path}
    inner = {name: value for name, value in sent.items() if name not in {*type.outer, *path}}
    found = problems(type.kind, {**outer, "properties": inner})
    words = [(problem, _json_type(problem.value)) for problem in found if problem.fault == "type"]
    return [
        f"'{problem.path.removeprefix('properties.')}' should be of type '{problem.expected}' but got {got}"
        for problem, got in words
        if got
    ]


def _json_type(value: Any) -> str | None:
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return "an array" if isinstance(value, list) else None
