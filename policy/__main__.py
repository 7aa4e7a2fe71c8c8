"""The policy pack: `pulumi preview --policy-pack policy [--policy-pack-config FILE]`. Its rules are in rules.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rules
from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError
from resources import Resource

ALLOWED: dict[str, dict[str, Any]] = {"allowed": {"type": "array", "items": {"type": "string"}}}
COST: dict[str, dict[str, Any]] = {"maxPerHour": {"type": "number", "minimum": 0}, "region": {"type": "string"}}
RULES: dict[str, tuple[Callable[..., rules.Violations], dict[str, dict[str, Any]]]] = {
    "cost-per-hour": (rules.cost_per_hour, COST),
    "vm-sizes": (rules.vm_sizes, ALLOWED),
    "regions": (rules.regions, ALLOWED),
    "pinned-images": (rules.pinned_images, {}),
    "endpoints": (rules.endpoints, {}),
    "pinned-revisions": (rules.pinned_revisions, {}),
    "spot": (rules.spot, {}),
    "taints": (rules.taints, {}),
    "licenses": (rules.licenses, ALLOWED),
}


def policy(name: str) -> StackValidationPolicy:
    """One rule as the engine calls it."""
    rule, properties = RULES[name]

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [Resource(one.urn, one.resource_type, one.name, plain(one.props)) for one in args.resources]
        for urn, message in rule(resources, args.get_config()):
            report(message, urn or None)

    schema = PolicyConfigSchema(properties) if properties else None
    return StackValidationPolicy(name, (rule.__doc__ or "").strip(), validate, EnforcementLevel.MANDATORY, schema)


def plain(value: Any) -> Any:
    """Properties as dicts and lists, without what is not known before `up`."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in _known((key, lambda k=key: value[k]) for key in value)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for _, item in _known((n, lambda i=n: value[i]) for n in range(len(value)))]
    return value


def _known(entries: Any) -> Any:
    for key, read in entries:
        try:
            yield key, read()
        except UnknownValueError:
            continue


PolicyPack("kaito", [policy(name) for name in RULES])
