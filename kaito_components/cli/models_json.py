"""The models for scripts. Its keys are fixed; bytes are bytes, what is not known is null. Called by cli.models."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from kaito_components.cli.homes import Home
from kaito_components.presets import Preset


def dump(found: Iterable[tuple[Preset, Sequence[Home]]]) -> str:
    """A list with one object for each model."""
    return json.dumps([_object(preset, places) for preset, places in found], indent=2)


def _object(preset: Preset, places: Sequence[Home]) -> dict[str, Any]:
    return {
        "name": preset.name,
        "aliases": list(preset.aliases),
        "model": preset.model,
        "revision": preset.revision,
        "parameters": preset.parameters,
        "weights": preset.weights_bytes,
        "quantization": preset.quantization,
        "contextLength": preset.context_length,
        "kvCachePerToken": preset.kv_bytes_per_token,
        "license": preset.license,
        "redistributable": preset.redistributable,
        "gated": preset.gated,
        "runtimes": list(preset.runtimes),
        "tunable": preset.tuning is not None,
        "smallest": _home(places[0]) if places else None,
        "unknown": list(preset.unknown),
        "sources": {source: list(fields) for source, fields in preset.sources.items()},
    }


def _home(home: Home) -> dict[str, Any]:
    price = home.price
    return {
        "instanceType": home.room.vm.name,
        "nodeCount": home.room.nodes,
        "perHour": home.per_hour,
        "currency": price.currency if price else None,
        "region": home.region,
        "source": price.source if price else None,
        "asOf": price.as_of if price else None,
    }
