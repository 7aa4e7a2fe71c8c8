"""Presets: the models that are known by name, one YAML each in the repository's `presets/`.

`lookup` finds one by name, `schema` checks its file, `model` is what comes out. Called by plan and the command.
"""

from kaito_components.presets.lookup import load_preset, preset_names, presets_by_weight, tunable_presets
from kaito_components.presets.model import Preset, TuningPreset
from kaito_components.presets.retired import retired_model

__all__ = [
    "Preset", "TuningPreset", "load_preset", "preset_names", "presets_by_weight", "retired_model", "tunable_presets",
]  # fmt: skip
