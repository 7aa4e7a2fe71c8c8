"""The rules: what is wrong with a stack's resources, with value, limit and way out. Pure; called by the pack.

A rule takes the resources of the stack and its own configuration, and yields (urn, message); rules that need a limit
are silent without one.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from resources import (
    SPOT_TAINT,
    Resource,
    command_of,
    containers,
    is_tuning,
    option,
    pools,
    selected,
    services,
    template,
    users_of,
    workloads,
)

from kaito_components.presets.lookup import shipped_preset
from kaito_components.prices import price_of, region_name

Config = Mapping[str, Any]
Violations = Iterator[tuple[str, str]]
KEY_OPTIONS, KEY_VARIABLES = ("--api-key", "--api-key-file"), ("VLLM_API_KEY", "API_KEY_FILE")
KEY_ANNOTATION = "pulumi.kaito.sh/api-key-secret"
INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"


def cost_per_hour(resources: Sequence[Resource], config: Config) -> Violations:
    """At most so many dollars an hour for the nodes of all pools."""
    limit, region = config.get("maxPerHour"), config.get("region") or ""
    if limit is None:
        return
    total = 0.0
    for pool in pools(resources):
        size, count = str(pool.properties.get("vmSize")), _most_nodes(pool)
        price = None if _is_spot(pool) else price_of(size, region)
        if price is None:
            text = f"{pool.title}: what {size} costs in {region or 'an unnamed region'} is not known"
            yield pool.urn, f"{text}, so the limit of {limit:g} USD an hour cannot be checked; set region, or the size"
        else:
            total += price.per_hour * count
    if total > limit:
        yield "", f"the nodes cost {total:.2f} USD an hour in {region}, more than {limit:g}; take smaller or fewer"


def vm_sizes(resources: Sequence[Resource], config: Config) -> Violations:
    """Only these VM sizes; `*` stands for anything."""
    allowed = config.get("allowed") or []
    for pool in pools(resources):
        size = str(pool.properties.get("vmSize"))
        if allowed and not any(fnmatch(size.lower(), pattern.lower()) for pattern in allowed):
            yield pool.urn, f"{pool.title}: {size} is not allowed; use {' or '.join(allowed)}"


def regions(resources: Sequence[Resource], config: Config) -> Violations:
    """Only these regions, for whatever has a location."""
    allowed = config.get("allowed") or []
    for one in resources:
        place = one.properties.get("location")
        if allowed and isinstance(place, str) and region_name(place) not in map(region_name, allowed):
            yield one.urn, f"{one.title}: {place} is not allowed; use {' or '.join(allowed)}"


def pinned_images(resources: Sequence[Resource], config: Config) -> Violations:
    """No image without a tag, and none with the tag `latest`."""
    for workload in workloads(resources):
        for container in containers(workload):
            image = str(container.get("image"))
            name, _, digest = image.partition("@")
            tag = name.rsplit("/", 1)[-1].partition(":")[2]
            if not digest and tag in ("", "latest"):
                text = f"{workload.title}: the image {image} is another one tomorrow; name a tag or a digest"
                yield workload.urn, text


def endpoints(resources: Sequence[Resource], config: Config) -> Violations:
    """No public address for a server that asks for no key."""
    for service in services(resources):
        annotations = (service.properties.get("metadata") or {}).get("annotations") or {}
        is_public = (service.properties.get("spec") or {}).get("type") == "LoadBalancer"
        if not is_public or str(annotations.get(INTERNAL)).lower() == "true":
            continue
        for workload in selected(service, resources):
            if not any(_asks_for_key(container) for container in containers(workload)):
                text = f"{service.title} has a public address, and {workload.title} asks for no API key"
                yield service.urn, f"{text}; remove kaito.sh/enablelb, or name a Secret in {KEY_ANNOTATION}"


def pinned_revisions(resources: Sequence[Resource], config: Config) -> Violations:
    """No model of Hugging Face without a revision."""
    for workload in workloads(resources):
        for container in containers(workload):
            model = option(command_of(container), "--model")
            if model and _is_hub_id(model) and not option(command_of(container), "--revision"):
                text = f"{workload.title}: {model} has no revision, so its weights may change between two starts"
                yield workload.urn, f"{text}; kaito models add {model} --revision REVISION pins one"


def spot(resources: Sequence[Resource], config: Config) -> Violations:
    """Spot nodes are for tuning: a server on them goes away at any time."""
    for pool in pools(resources):
        for workload in users_of(pool, resources):
            if _is_spot(pool) and not is_tuning(workload):
                yield pool.urn, f"{pool.title} has spot nodes, and {workload.title} serves on them; set spot: false"


def taints(resources: Sequence[Resource], config: Config) -> Violations:
    """What runs on a pool tolerates the pool's taints."""
    for pool in pools(resources):
        of_pool = [*(pool.properties.get("nodeTaints") or []), *([SPOT_TAINT] if _is_spot(pool) else [])]
        for workload in users_of(pool, resources):
            tolerations = (template(workload).get("spec") or {}).get("tolerations") or []
            for taint in of_pool:
                if not any(_tolerates(toleration, taint) for toleration in tolerations):
                    text = f"{workload.title} does not tolerate {taint} of {pool.title}, so its pods never start"
                    yield workload.urn, f"{text}; add the toleration"


def licenses(resources: Sequence[Resource], config: Config) -> Violations:
    """Only models with these licences."""
    allowed = [str(name).lower() for name in config.get("allowed") or []]
    for workload in workloads(resources) if allowed else ():
        for container in containers(workload):
            model = option(command_of(container), "--model")
            if not model or not _is_hub_id(model):
                continue
            preset = shipped_preset(model)
            license = preset.license if preset else None
            if license is None:
                yield workload.urn, f"{workload.title}: the licence of {model} is not known; use a model with a preset"
            elif license.lower() not in allowed:
                yield (
                    workload.urn,
                    f"{workload.title}: {model} has the licence {license}; allowed: {', '.join(allowed)}",
                )


def _most_nodes(pool: Resource) -> int:
    return int(pool.properties.get("maxCount") or pool.properties.get("count") or 0)


def _is_spot(pool: Resource) -> bool:
    return pool.properties.get("scaleSetPriority") == "Spot"


def _is_hub_id(model: str) -> bool:
    return "/" in model and not model.startswith(("/", "."))


def _asks_for_key(container: Mapping[str, Any]) -> bool:
    variables = {str(entry.get("name")) for entry in container.get("env") or []}
    return option(command_of(container), *KEY_OPTIONS) is not None or bool(variables & set(KEY_VARIABLES))


def _tolerates(toleration: Mapping[str, Any], taint: str) -> bool:
    """Whether a toleration covers `key=value:effect`."""
    rest, _, effect = taint.rpartition(":")
    key, _, value = rest.partition("=")
    if toleration.get("key") not in (None, key) or toleration.get("effect") not in (None, effect):
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == value
