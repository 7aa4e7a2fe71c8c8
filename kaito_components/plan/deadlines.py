"""How long things may take. Called by plan.deciding; `NODE_SECONDS` by manifests too."""

import math

from kaito_components.plan.types import Pool, Until
from kaito_components.presets import Preset
from kaito_components.units import GIB

NODE_SECONDS = 900  # what a new GPU node may take to join: pool operation, driver, device plugin
# KAITO 0.12: 15 minutes and 18 seconds a GiB of weights, between 30 minutes and 3 hours.
LOAD_SECONDS, LOAD_SECONDS_PER_GIB, LOAD_MIN_SECONDS, LOAD_MAX_SECONDS = 900, 18, 1800, 10800
TUNING_SECONDS = 86400  # how long training takes is not in the plan: a day, or what the user says


def loading_seconds(preset: Preset | None) -> int:
    """Seconds that pulling an image and loading the weights may take."""
    seconds = LOAD_SECONDS + math.ceil(LOAD_SECONDS_PER_GIB * (preset.weights_bytes if preset else 0) / GIB)
    return min(max(seconds, LOAD_MIN_SECONDS), LOAD_MAX_SECONDS)


def deadline_seconds(preset: Preset | None, pool: Pool | None, is_tuning: bool, until: Until) -> int:
    """Seconds until `pulumi up` gives up: loading, the joining of new nodes, and training where that is waited for."""
    trains = is_tuning and until in ("completed", "ready")
    return loading_seconds(preset) + (NODE_SECONDS if pool else 0) + (TUNING_SECONDS if trains else 0)
