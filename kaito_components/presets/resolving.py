"""Finds the model that a Workspace names: the user's own presets, the shipped ones, then Hugging Face. The edge.

Called by the command and by the Workspace component, which hand what comes out to `plan`.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

from kaito_components.errors import KaitoError
from kaito_components.presets.lookup import (
    file_of,
    hint,
    load_preset,
    names_in,
    preset_names,
    read_file,
    shipped_preset,
)
from kaito_components.presets.model import Preset

OWN_FOLDER = Path("presets")  # beside the user's program, or where the command runs


def find_preset(name: str) -> Preset | None:
    """The preset of that name: from the user's folder, else a shipped one, else None.

    Raises:
        KaitoError: the user's file is not a preset.
    """
    path = file_of(name.lower(), OWN_FOLDER.resolve()) if OWN_FOLDER.is_dir() else None
    return read_file(path) if path else shipped_preset(name)


def known_names() -> list[str]:
    """The names of the user's own presets and of the shipped ones, sorted."""
    own = {path.stem for path in names_in(OWN_FOLDER).values()} if OWN_FOLDER.is_dir() else set()
    return sorted(own | set(preset_names()))


def resolve(name: str | None) -> Preset | KaitoError | None:
    """What `plan` is to know of a model: its preset, or why there is none. None: no model is named."""
    if name is None:
        return None
    try:
        return find_preset(name) or (_fetched(name) if "/" in name else load_preset(name))
    except KaitoError as problem:
        return problem


@cache
def _fetched(model: str) -> Preset | KaitoError:
    """A preset made of what Hugging Face has now.

    Its revision stays open: were today's pinned, each later commit there would restart the Workspace by itself.
    """
    from kaito_components.presets.adding import name_of, preset_values
    from kaito_components.presets.hub import fetch
    from kaito_components.presets.schema import check

    try:
        values = preset_values(replace(fetch(model), revision=None))
        return check(name_of(model), values, model)
    except KaitoError as problem:
        return KaitoError(f"there is no preset for {model}; {hint(model)}none can be made now: {problem}")
